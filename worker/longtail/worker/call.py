"""One call to embed texts: its terms, what it still waits for, and what became of each text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from longtail.runtime.errors import DeadlineExceeded, InferenceFailed, ServiceError
from longtail.worker.batcher import Embedded
from longtail.worker.cache import Key, Known
from longtail.worker.single_flight import Flight, Flights
from longtail.worker.tokenizer import Role, Tokens, Truncation
from longtail.worker.waiting import Lane


@dataclass(frozen=True)
class Terms:
    """What a call asks beside its texts; `deadline` is in seconds of `time.monotonic`."""

    role: Role
    truncation: Truncation
    lane: Lane
    deadline: float
    caller: str


@dataclass(frozen=True)
class Refused:
    """A text that its own call does not allow, and why."""

    description: str


Outcome: TypeAlias = Known | Refused | ServiceError
Tokenised: TypeAlias = Tokens | InferenceFailed


@dataclass(frozen=True)
class Result:
    """What became of each text of one call, in order, and where the time went."""

    outcomes: Sequence[Outcome]
    tokenize_seconds: float = 0.0
    queue_seconds: float = 0.0
    inference_seconds: float = 0.0


class Call:
    """A call that is being worked on; every flight in `flights` is given back by `leave`."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.outcomes: dict[Key, Outcome] = {}
        self.flights: dict[Key, Flight] = {}
        # Of the inferences that held its texts, the one that started last.
        self.last: Embedded | None = None

    def settle(self) -> dict[Key, Tokenised]:
        """Take over the outcome of every flight, all of which are done; return what to fly again.

        Raises the failure that ends the whole call.
        """
        again: dict[Key, Tokenised] = {}
        for key, flight in self.flights.items():
            error = flight.answer.exception()
            if flight.known is not None:
                self.outcomes[key] = flight.known
                embedded = flight.answer.result()
                if self.last is None or embedded.started > self.last.started:
                    self.last = embedded
            elif isinstance(error, InferenceFailed):
                self.outcomes[key] = error
            elif isinstance(error, DeadlineExceeded) and flight.deadline < self.terms.deadline:
                again[key] = flight.tokens
            elif error is not None:
                raise error
        self.flights.clear()
        return again

    def leave(self, flights: Flights) -> None:
        """Wait for nothing any more."""
        for key, flight in self.flights.items():
            flights.leave(key, flight)
