"""Makes calls at moments that are fixed beforehand, whatever becomes of them.

A closed loop waits for a slow server and so asks it less: the stall vanishes from its figures
(coordinated omission). Here every latency counts from the moment the call was due.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from typing import Generic, TypeVar

import grpc.aio

T = TypeVar("T")
# Given the moment when it was due, in seconds of the event loop's clock.
Call = Callable[[float], Awaitable[T]]

# The error of a call that was not made.
NOT_SENT = "NOT_SENT"
SEED = 20_260_101


class Arrivals(StrEnum):
    """How calls follow each other: evenly, or as those of many callers who know of no other."""

    CONSTANT = "constant"
    POISSON = "poisson"


class NotSentError(Exception):
    """Raised by a call that comes too late to be made at all."""


@dataclass(frozen=True)
class Schedule:
    """How the calls are spread: `rate` per second, in order, the warm-up's not counted."""

    rate: float
    seconds: float
    warmup_seconds: float = 0.0
    max_in_flight: int = 10_000
    arrivals: Arrivals = Arrivals.CONSTANT

    def moments(self) -> Iterator[float]:
        """Yield when each call is due, in seconds since the begin; the same every time."""
        if self.arrivals is Arrivals.POISSON:
            yield from self._random_moments()
            return
        # Half a call less: what is due at the very end comes after it, however the rate was
        # rounded.
        total = self.rate * (self.warmup_seconds + self.seconds) - 0.5
        for number in count():
            if number >= total:
                return
            yield number / self.rate

    def _random_moments(self) -> Iterator[float]:
        # Not for secrets: the order has to be repeatable.
        spread = random.Random(SEED)  # noqa: S311
        moment = spread.expovariate(self.rate)
        while moment < self.warmup_seconds + self.seconds:
            yield moment
            moment += spread.expovariate(self.rate)

    def counts(self, moment: float) -> bool:
        """Return whether a call that is due at a moment comes after the warm-up."""
        return moment >= self.warmup_seconds - 0.5 / self.rate


@dataclass(frozen=True)
class Offered(Generic[T]):
    """What became of a call: an answer, or an error by its name.

    `due`, `sent` and `ended` are seconds since the schedule's begin.
    """

    due: float
    sent: float
    ended: float
    answer: T | None
    error: str = ""

    @property
    def latency(self) -> float:
        """Seconds from when it was due to its end."""
        return self.ended - self.due

    @property
    def lag(self) -> float:
        """Seconds from when it was due until it was sent."""
        return self.sent - self.due


async def offer(
    schedule: Schedule, calls: Iterable[Call[T]], note: Callable[[Offered[T]], None]
) -> float:
    """Make the calls as scheduled, or until there are no more; `note` is told of each.

    Returns once the last of them has ended, the seconds since the warm-up. Cancelled, it makes no
    more of them, and ends once those in flight have.
    """
    loop = asyncio.get_running_loop()
    in_flight: set[asyncio.Task[None]] = set()
    start = loop.time()

    async def make(call: Call[T], due: float, is_counted: bool) -> None:
        sent, answer, error = loop.time(), None, ""
        try:
            answer = await call(due)
        except grpc.aio.AioRpcError as failure:
            error = failure.code().name
        except NotSentError:
            error = NOT_SENT
        if is_counted:
            note(Offered(due - start, sent - start, loop.time() - start, answer, error))

    # The group ends the load when a call dies of something that is no answer of the server.
    async with asyncio.TaskGroup() as group:
        for offset, call in zip(schedule.moments(), calls, strict=False):
            due = start + offset
            # Zero too gives way to the answers that came meanwhile.
            try:
                await asyncio.sleep(max(0.0, due - loop.time()))
            except asyncio.CancelledError:
                # What a call given up now writes might be there after it was removed.
                if in_flight:
                    await asyncio.wait(in_flight)
                raise
            is_counted = schedule.counts(offset)
            if len(in_flight) >= schedule.max_in_flight:
                if is_counted:
                    note(Offered(offset, offset, offset, None, NOT_SENT))
                continue
            task = group.create_task(make(call, due, is_counted))
            in_flight.add(task)
            task.add_done_callback(in_flight.discard)
    return loop.time() - start - schedule.warmup_seconds
