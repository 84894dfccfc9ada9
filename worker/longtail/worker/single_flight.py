"""One computation for all calls that want the vector of the same text at the same time."""

import asyncio
from collections.abc import Callable

from longtail.runtime.errors import DeadlineExceeded, InferenceFailed, ServiceError
from longtail.runtime.tracing import SpanContext
from longtail.worker.batcher import Embedded, Queued
from longtail.worker.cache import Key, Known
from longtail.worker.call import Outcome, Terms
from longtail.worker.tokenizer import Tokens
from longtail.worker.waiting import Lane


class Flight:
    """A text that is being computed, for as long as a call waits for it.

    `deadline` is that of the call whose text is computed; who joined may have a later one.
    """

    __slots__ = ("calls", "deadline", "done", "embedding", "entry", "key", "land", "lane", "tokens")

    def __init__(
        self,
        key: Key,
        tokens: Tokens,
        *,
        lane: Lane,
        deadline: float,
        land: "Callable[[Flight, Known | ServiceError], None]",
    ) -> None:
        self.key, self.tokens, self.lane, self.deadline = key, tokens, lane, deadline
        self.land = land
        self.calls: list[Call] = []
        # Its place in the queue, once it has one.
        self.entry: Queued | None = None
        # The inference that gave the vector.
        self.embedding: Embedded | None = None
        self.done = False

    def contexts(self) -> list[SpanContext]:
        """Return the spans of the calls that wait for it, of those that are traced. Any thread."""
        traces = [call.terms.trace for call in self.calls]
        return [trace.context for trace in traces if trace is not None]

    def embedded(self, embedded: Embedded) -> None:
        """Bring every call its vector."""
        self.embedding = embedded
        tokens = self.tokens
        self.land(self, Known(embedded.row, len(tokens.ids), tokens.truncated))

    def failed(self, error: ServiceError) -> None:
        """Tell every call that there will be no vector."""
        self.land(self, error)


class Call:
    """What one call has learned of its texts, and the flights that it still waits for."""

    __slots__ = ("_error", "_woken", "again", "flights", "last", "outcomes", "terms")

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.outcomes: dict[Key, Outcome] = {}
        self.flights: dict[Key, Flight] = {}
        # What was lost to another call's deadline, before ours.
        self.again: dict[Key, Tokens] = {}
        # Of the inferences that held its texts, the one that started last.
        self.last: Embedded | None = None
        self._error: ServiceError | None = None
        self._woken: asyncio.Future[None] | None = None

    def board(self, flight: Flight) -> None:
        """Wait for `flight` from now on."""
        flight.calls.append(self)
        self.flights[flight.key] = flight

    def take_again(self) -> dict[Key, Tokens]:
        """Return what is to be flown again, once."""
        again, self.again = self.again, {}
        return again

    async def wait(self) -> None:
        """Return when no flight is left; raise the failure that ends the whole call."""
        if self.flights and self._error is None:
            self._woken = asyncio.get_running_loop().create_future()
            await self._woken
        if self._error is not None:
            raise self._error

    def landed(self, flight: Flight, outcome: Known | ServiceError) -> None:
        """Take over what became of a flight."""
        key = flight.key
        del self.flights[key]
        if isinstance(outcome, Known):
            self.outcomes[key] = outcome
            embedding = flight.embedding
            if self.last is None or (embedding and embedding.started > self.last.started):
                self.last = embedding
        elif isinstance(outcome, InferenceFailed):
            self.outcomes[key] = outcome
        elif isinstance(outcome, DeadlineExceeded) and flight.deadline < self.terms.deadline:
            self.again[key] = flight.tokens
        else:
            self._error = outcome
        if self._woken and not self._woken.done() and (self._error or not self.flights):
            self._woken.set_result(None)


class Flights:
    """The texts that are being computed; `keep` gets each vector as it lands."""

    def __init__(self, keep: Callable[[Key, Known], None]) -> None:
        self._keep = keep
        self._flying: dict[Key, Flight] = {}

    def join(self, call: Call, key: Key) -> bool:
        """Let `call` wait for the flight of a text, if there is one that it may wait for.

        Nobody interactive waits for bulk work.
        """
        flight = self._flying.get(key)
        if flight is None or (call.terms.lane is Lane.INTERACTIVE and flight.lane is Lane.BULK):
            return False
        call.board(flight)
        return True

    def start(self, call: Call, key: Key, tokens: Tokens) -> Flight:
        """Return the flight of a text that `call` waits for; others may join from now on."""
        terms = call.terms
        flight = Flight(key, tokens, lane=terms.lane, deadline=terms.deadline, land=self._land)
        self._flying[key] = flight
        call.board(flight)
        return flight

    def leave(self, call: Call) -> list[Flight]:
        """Let `call` wait for nothing any more; return the flights that nobody waits for now."""
        lonely = []
        for flight in call.flights.values():
            flight.calls.remove(call)
            if not flight.calls:
                flight.done = True
                self._forget(flight)
                lonely.append(flight)
        call.flights.clear()
        return lonely

    def _land(self, flight: Flight, outcome: Known | ServiceError) -> None:
        flight.done = True
        self._forget(flight)
        if isinstance(outcome, Known):
            self._keep(flight.key, outcome)
        for call in flight.calls:
            call.landed(flight, outcome)

    def _forget(self, flight: Flight) -> None:
        # An interactive flight may have taken the place of a bulk one.
        if self._flying.get(flight.key) is flight:
            del self._flying[flight.key]
