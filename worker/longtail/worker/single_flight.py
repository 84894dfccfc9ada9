"""One computation for all who want the vector of the same text at the same time."""

import asyncio
from collections.abc import Callable
from functools import partial

from longtail.worker.batcher import Embedded
from longtail.worker.cache import Key, Known
from longtail.worker.tokenizer import Tokens
from longtail.worker.waiting import Lane


class Flight:
    """A text that is being computed, for as long as somebody waits for it.

    `deadline` is that of the caller whose text is computed; who joined may have a later one.
    """

    __slots__ = ("answer", "deadline", "known", "lane", "tokens", "waiters")

    def __init__(
        self, tokens: Tokens, answer: "asyncio.Future[Embedded]", *, lane: Lane, deadline: float
    ) -> None:
        self.tokens = tokens
        self.answer = answer
        self.lane = lane
        self.deadline = deadline
        self.waiters = 1
        # Set before any waiter is woken, when the text was embedded.
        self.known: Known | None = None


class Flights:
    """The texts that are being computed; `keep` gets each vector as it lands.

    Every flight that `start` or `join` gave is given back with `leave`, whatever became of it.
    """

    def __init__(self, keep: Callable[[Key, Known], None]) -> None:
        self._keep = keep
        self._flying: dict[Key, Flight] = {}

    def join(self, key: Key, lane: Lane) -> Flight | None:
        """Return the flight of a text that a caller in `lane` may wait for, if there is one.

        Nobody interactive waits for bulk work.
        """
        flight = self._flying.get(key)
        if flight is None or (lane is Lane.INTERACTIVE and flight.lane is Lane.BULK):
            return None
        flight.waiters += 1
        return flight

    def start(self, key: Key, flight: Flight) -> None:
        """Let others join from now on."""
        self._flying[key] = flight
        flight.answer.add_done_callback(partial(self._land, key, flight))

    def leave(self, key: Key, flight: Flight) -> None:
        """Wait no longer; the last to leave cancels what is not done."""
        flight.waiters -= 1
        if flight.waiters == 0 and not flight.answer.done():
            flight.answer.cancel()
            self._forget(key, flight)

    def _land(self, key: Key, flight: Flight, answer: "asyncio.Future[Embedded]") -> None:
        self._forget(key, flight)
        if answer.cancelled() or answer.exception() is not None:
            return
        # A copy: the vector is a row of its batch, and would keep all of the batch in memory.
        row = answer.result().vector.astype("<f4", copy=False).tobytes()
        flight.known = Known(row, len(flight.tokens.ids), flight.tokens.truncated)
        self._keep(key, flight.known)

    def _forget(self, key: Key, flight: Flight) -> None:
        # An interactive flight may have taken the place of a bulk one.
        if self._flying.get(key) is flight:
            del self._flying[key]
