from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from longtail.export import cost
from longtail.export.cost import Encode
from longtail.worker.vectors import TokenIds, Vectors

TEXTS = [[1] * length for length in range(1, 41)]


class Clock:
    """A clock that moves only when an encoder works."""

    def __init__(self) -> None:
        self.now = 0.0

    def encoder(self, name: str, seconds: Iterator[float], calls: list[str]) -> Encode:
        def encode(batch: Sequence[TokenIds]) -> Vectors:
            calls.append(name)
            self.now += next(seconds) * len(batch)
            return np.ones((len(batch), 1), np.float32)

        return encode


def repeat(*seconds: float) -> Iterator[float]:
    while True:
        yield from seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("longtail.export.cost.time.perf_counter", lambda: clock.now)
    return clock


def test_seconds_are_for_one_text(clock: Clock) -> None:
    calls: list[str] = []
    before = clock.encoder("before", repeat(0.5), calls)
    after = clock.encoder("after", repeat(0.125), calls)
    measured = cost.compare(before, after, TEXTS)
    assert measured.before == pytest.approx(0.5)
    assert measured.after == pytest.approx(0.125)
    assert measured.speedup == pytest.approx(4)
    assert calls == ["before", "after"] * (len(calls) // 2)


def test_the_first_round_does_not_count(clock: Clock) -> None:
    # Three batches a round.
    before = clock.encoder("before", iter([9.0] * 3 + [1.0] * 3), [])
    after = clock.encoder("after", repeat(1.0), [])
    assert cost.compare(before, after, TEXTS, rounds=1).speedup == pytest.approx(1)


def test_a_hiccup_does_not_count(clock: Clock) -> None:
    before = clock.encoder("before", iter([1.0] * 6 + [50.0] + [1.0] * 20), [])
    after = clock.encoder("after", repeat(1.0), [])
    assert cost.compare(before, after, TEXTS, rounds=5).speedup == pytest.approx(1)
