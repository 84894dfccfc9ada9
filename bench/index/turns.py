"""Searches that take turns, and searches and writes at a steady rate."""

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from longtail.server.store.records import NewItem

from bench.state import Opened
from loadtest.open_loop import Call, Offered, Schedule, offer

Search = Callable[[int], object]
SEARCHES, _WRITES = 100.0, 200.0
LIMIT_SECONDS = 400.0


def take_turns(calls: Sequence[Search], asked: Sequence[int]) -> list[list[float]]:
    """Give each call each of the numbers `asked`, one at a time; return the seconds of each.

    The first goes round. At the same moment each call is at another query, so that none finds in
    the processor's caches what the one before it has left there.
    """
    stride = max(1, len(asked) // len(calls))
    seconds: list[list[float]] = [[] for _ in calls]
    for turn in range(len(asked)):
        for place in range(len(calls)):
            which = (turn + place) % len(calls)
            query = asked[(turn + which * stride) % len(asked)]
            start = time.perf_counter()
            calls[which](query)
            seconds[which].append(time.perf_counter() - start)
    return seconds


def searching(
    search: Search, is_over: Callable[[], bool] = lambda: False, seconds: float = LIMIT_SECONDS
) -> list[float]:
    """Search at a steady rate until it is over; return the seconds of each search."""
    taken: list[float] = []

    async def one(number: int, _: float) -> object:
        return search(number)

    numbers = itertools.takewhile(lambda _: not is_over(), itertools.count())
    calls: Iterator[Call[object]] = (partial(one, number) for number in numbers)

    def note(offered: Offered[object]) -> None:
        taken.append(offered.ended - offered.sent)

    asyncio.run(offer(Schedule(SEARCHES, seconds), calls, note))
    return taken


@contextmanager
def writing(held: Opened, items: Iterator[NewItem]) -> Iterator[list[float]]:
    """Write items at a steady rate while the block lasts, one to a call, through the write path.

    Yields the seconds from when each was due until it was acknowledged. A write that fails is
    raised at the end.
    """
    stop = threading.Event()
    taken: list[float] = []
    failed: list[BaseException] = []

    async def write(_: float) -> None:
        await asyncio.wrap_future(held.submit([next(items)]))

    def load() -> None:
        calls = itertools.takewhile(lambda _: not stop.is_set(), itertools.repeat(write))
        schedule = Schedule(_WRITES, LIMIT_SECONDS)
        try:
            asyncio.run(offer(schedule, calls, lambda offered: taken.append(offered.latency)))
        except BaseExceptionGroup as error:
            failed.extend(error.exceptions)

    with in_thread(load, stop.set):
        yield taken
    if failed:
        raise failed[0]


@contextmanager
def in_thread(run: Callable[[], object], stop: Callable[[], object]) -> Iterator[None]:
    """Run something while the block lasts."""
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join()
