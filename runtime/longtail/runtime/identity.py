"""Who calls: the caller of the RPC that is being worked on, its role, and what it may take."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import IntEnum

from google.protobuf.message import Message
from longtail.runtime.errors import InvalidArgument, Overloaded, Violation

RETRY_SECONDS = 0.1


class Role(IntEnum):
    """What a caller may do; each role includes those before it."""

    READ = 1
    WRITE = 2
    REVIEW = 3
    ADMIN = 4


@dataclass(frozen=True)
class Limits:
    """What one caller may take, None for as much as there is.

    Of one process, `rate`: calls per second, of which those of one second may come at once;
    `concurrency`: calls at a time. `batch`: elements of a repeated field of a request, or of a
    message of a stream. Of what is stored, `items`: of its own in the catalogue; `events`:
    interactions and impressions that it records a day.
    """

    rate: int | None = None
    concurrency: int | None = None
    batch: int | None = None
    items: int | None = None
    events: int | None = None


class Allowance:
    """What is left of a caller's limits. `clock` gives seconds."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._clock = clock
        self._in_flight = 0
        # When the last calls began, as many as may begin within a second.
        self._begun: deque[float] = deque(maxlen=limits.rate)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place for one call; raise Overloaded when the caller has no more of them."""
        limits, now = self.limits, self._clock()
        if limits.concurrency is not None and self._in_flight >= limits.concurrency:
            raise Overloaded(
                f"this key may have {limits.concurrency} calls in flight",
                retry_seconds=RETRY_SECONDS,
            )
        if limits.rate is not None:
            if len(self._begun) == limits.rate and now - self._begun[0] < 1.0:
                raise Overloaded(
                    f"this key may make {limits.rate} calls a second",
                    retry_seconds=1.0 - (now - self._begun[0]),
                )
            self._begun.append(now)
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1

    def check_batch(self, request: Message) -> None:
        """Raise InvalidArgument when a field of the request has more elements than it may."""
        if self.limits.batch is None:
            return
        for field, value in request.ListFields():
            if field.is_repeated and len(value) > self.limits.batch:
                raise InvalidArgument(
                    Violation(
                        field.name,
                        f"has {len(value)} elements; this key may send {self.limits.batch}",
                    )
                )


@dataclass(frozen=True)
class Caller:
    """Who calls: `name` is that of the key, or the address of one who needs none."""

    name: str
    role: Role
    allowance: Allowance | None = None
    has_key: bool = False


_caller: ContextVar[Caller | None] = ContextVar("caller")


def set_caller(caller: Caller) -> None:
    """Say who calls in this task, which is one RPC."""
    _caller.set(caller)


def current_caller() -> Caller:
    """Return who calls; raise LookupError outside of an RPC."""
    caller = _caller.get(None)
    if caller is None:
        raise LookupError("nobody calls")
    return caller


def caller_at(peer: Callable[[], str]) -> Caller:
    """Return who calls: one who gave no key is known by the address, which gRPC gives with a port.

    Such a caller may do all that needs no key, where there are keys, and all where there are none.
    """
    caller = _caller.get(None)
    if caller is None:
        caller = Caller(peer().rpartition(":")[0], Role.ADMIN)
        _caller.set(caller)
    return caller
