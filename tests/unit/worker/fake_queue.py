"""A queue that the test empties, and calls to an embedder in front of it."""

import asyncio
from collections.abc import Sequence

import numpy as np
from longtail.runtime.errors import ServiceError
from longtail.worker.batcher import Embedded
from longtail.worker.cache import Known
from longtail.worker.call import Outcome, Result, Terms
from longtail.worker.embedder import Embedder
from longtail.worker.tokenizer import Role, Tokenizer, Truncation
from longtail.worker.vectors import TokenIds, Vector
from longtail.worker.waiting import Lane

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
        self.waiting: list[tuple[TokenIds, asyncio.Future[Embedded]]] = []
        self.arrived = asyncio.Event()

    def admit(self, *, texts: int, tokens: int, lane: Lane, deadline: float, caller: str) -> None:
        self.admitted.append((texts, tokens))
        if self.full:
            raise self.full

    def submit(
        self, texts: Sequence[TokenIds], *, lane: Lane, deadline: float, caller: str
    ) -> list[asyncio.Future[Embedded]]:
        self.submitted.append((len(texts), lane, deadline, caller))
        answers = [asyncio.get_running_loop().create_future() for _ in texts]
        self.waiting += zip(texts, answers, strict=True)
        self.arrived.set()
        return answers

    def answer(self, *, started: float = 0.0, seconds: float = 0.25) -> None:
        """Embed all that waits and is still wanted."""
        for ids, answer in self._wanted():
            answer.set_result(Embedded(vector_of(ids), started, seconds))

    def fail(self, error: ServiceError) -> None:
        for _, answer in self._wanted():
            answer.set_exception(error)

    def _wanted(self) -> list[tuple[TokenIds, asyncio.Future[Embedded]]]:
        wanted = [entry for entry in self.waiting if not entry[1].done()]
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
