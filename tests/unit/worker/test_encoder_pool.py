"""Several encoders behind one call."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from longtail.worker.encoder_pool import EncoderPool
from longtail.worker.model import CUDA, Placement
from longtail.worker.vectors import TokenIds, Vectors


class HeldEncoder:
    """Says which device it is, once it is let go."""

    def __init__(self, number: int, taken: "threading.Semaphore") -> None:
        self.placement = Placement(f"cuda:{number}", CUDA)
        self.go = threading.Event()
        self._number, self._taken = number, taken

    def encode(self, batch: Sequence[TokenIds]) -> Vectors:
        self._taken.release()
        assert self.go.wait(10)
        if not batch:
            raise ArithmeticError("nothing")
        return np.full((len(batch), 1), self._number, np.float32)


def pool(taken: threading.Semaphore, slots_each: int = 1) -> tuple[list[HeldEncoder], EncoderPool]:
    encoders = [HeldEncoder(number, taken) for number in range(3)]
    return encoders, EncoderPool(encoders, slots_each)


def test_the_slots_and_places_are_those_of_all_encoders() -> None:
    _, three = pool(threading.Semaphore(0), slots_each=2)
    assert three.slots == 6
    assert [placement.device for placement in three.placements] == ["cuda:0", "cuda:1", "cuda:2"]


def test_calls_go_to_encoders_that_are_free() -> None:
    taken = threading.Semaphore(0)
    encoders, three = pool(taken)
    with ThreadPoolExecutor(4) as threads:
        calls = []
        for _ in range(3):
            calls.append(threads.submit(three.encode, [[1]]))
            assert taken.acquire(timeout=10)
        encoders[1].go.set()
        assert calls[1].result(10)[0, 0] == 1
        # The second is the only one that is free.
        assert threads.submit(three.encode, [[1]]).result(10)[0, 0] == 1
        for encoder in encoders:
            encoder.go.set()
        assert [call.result(10)[0, 0] for call in calls] == [0, 1, 2]


def test_an_encoder_that_failed_is_free_again() -> None:
    taken = threading.Semaphore(0)
    encoders, three = pool(taken)
    for encoder in encoders:
        encoder.go.set()
    with pytest.raises(ArithmeticError):
        three.encode([])
    assert three.encode([[1]])[0, 0] == 0
