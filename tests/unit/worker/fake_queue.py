"""A queue that the test empties, and calls to an embedder in front of it."""

import asyncio
from collections.abc import Sequence

import numpy as np
from longtail.runtime.errors import ServiceError
from longtail.worker.batcher import Embedded, Queued, Receiver
from longtail.worker.cache import Known
from longtail.worker.call import Outcome, Result, Terms
from longtail.worker.embedder import Embedder
from longtail.worker.tokenizer import Role, Tokenizer, Truncation
from longtail.worker.vectors import TokenIds, Vector
from longtail.worker.waiting import Lane, LaneQueue

from tests.unit.worker.conftest import MAX_TOKENS

INTERACTIVE, BULK = Lane.INTERACTIVE, Lane.BULK


def vector_of(ids: TokenIds) -> Vector:
    """Return a vector that no other of these tests' texts has."""
    return np.array([*ids, *[0] * MAX_TOKENS][:MAX_TOKENS], np.float32)


class FakeQueue:
    """Keeps what is submitted until the test answers it."""

    def __init__(self) -> None:
        self.full: ServiceError | None = None
        self.admitted: list[tuple[int, int]] = []
        self.submitted: list[tuple[int, Lane, float, str]] = []
        self.waiting: list[Queued] = []
        self.withdrawn: list[Queued] = []
        self.arrived = asyncio.Event()

    def admit(self, *, texts: int, tokens: int, lane: Lane, deadline: float, caller: str) -> None:
        self.admitted.append((texts, tokens))
        if self.full:
            raise self.full

    def submit(
        self,
        texts: Sequence[tuple[TokenIds, Receiver]],
        *,
        lane: Lane,
        deadline: float,
        caller: str,
    ) -> list[Queued]:
        self.submitted.append((len(texts), lane, deadline, caller))
        lane_queue: LaneQueue[Receiver] = LaneQueue(max_waste=0, lead_tokens=0)
        entries = [
            lane_queue.add(ids, receiver, deadline=deadline, caller=caller, now=0.0)
            for ids, receiver in texts
        ]
        self.waiting += entries
        self.arrived.set()
        return entries

    def withdraw(self, entry: Queued, lane: Lane) -> None:
        self.withdrawn.append(entry)

    def embed(self, entry: Queued, *, started: float = 0.0, seconds: float = 0.25) -> None:
        """Embed one text."""
        row = vector_of(entry.ids).astype("<f4").tobytes()
        entry.answer.embedded(Embedded(row, started, seconds))

    def answer(self, *, started: float = 0.0) -> None:
        """Embed all that waits and is still wanted."""
        for entry in self._wanted():
            self.embed(entry, started=started)

    def fail(self, error: ServiceError) -> None:
        for entry in self._wanted():
            entry.answer.failed(error)

    def _wanted(self) -> list[Queued]:
        wanted = [entry for entry in self.waiting if not entry.answer.done]
        self.waiting = []
        return wanted


def terms(
    lane: Lane = INTERACTIVE,
    *,
    role: Role = Role.ITEM,
    truncation: Truncation = Truncation.END,
    deadline: float = 10.0,
    caller: str = "ipv4:127.0.0.1:1",
) -> Terms:
    return Terms(role, truncation, lane, deadline, caller)


async def start(embedder: Embedder, *texts: str, of: Terms | None = None) -> "asyncio.Task[Result]":
    """Start a call and let it go as far as it goes without an answer."""
    task = asyncio.create_task(embedder.embed(texts, of or terms()))
    for _ in range(3):
        await asyncio.sleep(0)
    return task


def vectors(outcomes: Sequence[Outcome]) -> list[list[float]]:
    rows = []
    for outcome in outcomes:
        assert isinstance(outcome, Known)
        rows.append(np.frombuffer(outcome.row, "<f4").tolist())
    return rows


def expected(tokenizer: Tokenizer, *texts: str, role: Role = Role.ITEM) -> list[list[float]]:
    return [vector_of(tokens.ids).tolist() for tokens in tokenizer.tokenise(texts, role)]
