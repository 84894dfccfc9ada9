"""Searches one after the other at a steady pace, and writes that come whatever happens."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from longtail.server.store.records import NewItem

from bench.generator import LoadError
from bench.index.prepared import Opened

# Of the writes that were due; a writer that comes later than that has not kept the rate.
_KEPT = 0.95
_GIVE_UP_SECONDS = 60.0


def search_at(
    rate: float, search: Callable[[int], object], is_over: Callable[[float], bool]
) -> list[float]:
    """Search `rate` times a second until it `is_over` after so many seconds; return the latencies.

    A search that takes longer than its turn puts off those that follow: where searches are slow
    there are fewer, and none counts the time of others. `search` is given its number.
    """
    latencies: list[float] = []
    start = due = time.perf_counter()
    while not is_over(time.perf_counter() - start):
        time.sleep(max(0.0, due - time.perf_counter()))
        begun = time.perf_counter()
        search(len(latencies))
        ended = time.perf_counter()
        latencies.append(ended - begun)
        due = max(ended, due + 1 / rate)
    return latencies


@dataclass
class Writes:
    """How long each write took from when it was due until it was acknowledged, in seconds."""

    latencies: list[float] = field(default_factory=list)

    def note(self, due: float, _: Future[int]) -> None:
        """Note that a write that was due then has ended."""
        self.latencies.append(time.perf_counter() - due)


@contextmanager
def writing(held: Opened, items: Iterator[NewItem], rate: float) -> Iterator[Writes]:
    """Write `rate` items a second while the block lasts, one to a call, through the write path.

    Raises LoadError when a write fails, or so many could not be given to the store.
    """
    stop, outcome = threading.Event(), Writes()
    futures: list[Future[int]] = []
    start = time.perf_counter()

    def write() -> None:
        while not stop.wait(max(0.0, start + len(futures) / rate - time.perf_counter())):
            due = start + len(futures) / rate
            future = held.submit([next(items)])
            future.add_done_callback(partial(outcome.note, due))
            futures.append(future)

    thread = threading.Thread(target=write, name="load")
    thread.start()
    try:
        yield outcome
    finally:
        stop.set()
        thread.join()
    wanted = rate * (time.perf_counter() - start)
    for future in futures:
        future.result(_GIVE_UP_SECONDS)
    if len(futures) < _KEPT * wanted:
        raise LoadError(f"{len(futures)} of {wanted:.0f} writes could be made")
