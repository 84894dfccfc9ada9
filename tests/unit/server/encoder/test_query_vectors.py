"""Vectors of queries: encoded once, joined without a timer, and nobody fails for another."""

import asyncio
import gc
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from longtail.runtime.deadline import within
from longtail.runtime.errors import DeadlineExceeded, InferenceFailed, Overloaded, Unavailable
from longtail.runtime.tracing import Spans, Trace, Tracer, current_trace, set_trace
from longtail.server.encoder import query_vectors
from longtail.server.encoder.encoder import TEXTS_PER_CALL
from longtail.server.encoder.passages import Embedded
from longtail.server.encoder.query_vectors import AT_ONCE, QueryVectors
from longtail.server.store.records import EncoderBinding
from longtail.v1 import embedding_service_pb2 as pb

from tests.unit.server.written_catalogue import FIRST, SECOND, vector_of


@pytest.fixture(autouse=True)
def deadline() -> Iterator[None]:
    with within(30):
        yield


class Worker:
    """Answers once `go` is set; texts in `refused` have no vector; `failure` fails whole calls."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.refused: set[str] = set()
        self.failure: Exception | None = None
        self.go = asyncio.Event()

    async def embed(
        self, texts: Sequence[str], role: pb.Role, lane: pb.Lane, binding: EncoderBinding
    ) -> list[Embedded]:
        assert (role, lane) == (pb.ROLE_QUERY, pb.LANE_INTERACTIVE)
        self.calls.append(list(texts))
        failure = self.failure
        await self.go.wait()
        if failure is not None:
            raise failure
        return [
            InferenceFailed(f"not {text}") if text in self.refused else vector_of(text, binding)
            for text in texts
        ]


def asked(vectors: QueryVectors, *texts: str) -> "asyncio.Task[np.ndarray]":
    return asyncio.create_task(vectors.of(texts, FIRST))


async def until_idle() -> None:
    """Let every task go as far as it can without `go`."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_text_has_the_vector_of_its_encoder_and_is_encoded_once() -> None:
    vectors = QueryVectors((worker := Worker()).embed)
    worker.go.set()
    found = await vectors.of(["a", "b", "a"], FIRST)
    assert found.tolist() == [vector_of(text, FIRST).tolist() for text in ("a", "b", "a")]
    await vectors.of(["b", "a"], FIRST)
    assert sorted(text for call in worker.calls for text in call) == ["a", "b"]
    assert (await vectors.of(["a"], SECOND)).tolist() == [vector_of("a", SECOND).tolist()]
    assert worker.calls[-1] == ["a"]


async def test_texts_of_one_caller_go_in_one_call() -> None:
    vectors = QueryVectors((worker := Worker()).embed)
    worker.go.set()
    await vectors.of(["a", "b", "c"], FIRST)
    assert worker.calls == [["a", "b", "c"]]


async def test_who_comes_for_a_text_under_way_waits_for_it() -> None:
    vectors = QueryVectors((worker := Worker()).embed)
    first, second = asked(vectors, "a"), asked(vectors, "a")
    await until_idle()
    worker.go.set()
    assert (await first).tolist() == (await second).tolist()
    assert worker.calls == [["a"]]


async def test_who_comes_during_calls_shares_the_next() -> None:
    vectors = QueryVectors((worker := Worker()).embed)
    texts = [f"text {n}" for n in range(32)]
    tasks = [asked(vectors, text) for text in texts]
    await until_idle()
    # Nobody waits for company: the first go at once.
    assert worker.calls == [[text] for text in texts[:AT_ONCE]]
    worker.go.set()
    found = [(await task)[0].tolist() for task in tasks]
    assert found == [vector_of(text, FIRST).tolist() for text in texts]
    assert worker.calls[AT_ONCE:] == [texts[AT_ONCE:]]
    assert len(worker.calls) < 16


async def test_a_shared_call_is_in_one_trace_and_the_others_lead_to_it() -> None:
    sent: list[Spans] = []
    tracer = Tracer(sent.append, 1.0)
    seen: list[Trace | None] = []
    worker = Worker()

    async def embed(
        texts: Sequence[str], role: pb.Role, lane: pb.Lane, binding: EncoderBinding
    ) -> list[Embedded]:
        seen.append(current_trace())
        return await worker.embed(texts, role, lane, binding)

    vectors = QueryVectors(embed)

    async def traced(text: str) -> Trace:
        trace = tracer.begin("Recommend", ())
        assert trace is not None
        set_trace(trace)
        await vectors.of([text], FIRST)
        trace.end("OK")
        return trace

    full = [asyncio.create_task(traced(f"first {number}")) for number in range(AT_ONCE)]
    await until_idle()
    sharing = [asyncio.create_task(traced(text)) for text in ("a", "b")]
    await until_idle()
    worker.go.set()
    await asyncio.gather(*full)
    mine, other = await asyncio.gather(*sharing)
    assert seen[AT_ONCE:] == [mine]
    [spans] = [each.spans for each in sent if each.trace_id == other.context.trace_id]
    assert [span.name for span in spans] == ["shared encoder call", "Recommend"]
    assert spans[0].links == [mine.context]


async def test_no_call_holds_more_texts_than_a_worker_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(query_vectors, "MOST_WAITING", 2 * TEXTS_PER_CALL)
    vectors = QueryVectors((worker := Worker()).embed)
    texts = [f"text {n}" for n in range(AT_ONCE + TEXTS_PER_CALL + 1)]
    tasks = [asked(vectors, text) for text in texts]
    await until_idle()
    worker.go.set()
    await asyncio.gather(*tasks)
    assert max(map(len, worker.calls)) == TEXTS_PER_CALL
    assert sorted(text for call in worker.calls for text in call) == sorted(texts)


async def test_encoders_do_not_share_calls() -> None:
    vectors = QueryVectors((worker := Worker()).embed)
    first, second = asked(vectors, "a"), asyncio.create_task(vectors.of(["a", "b"], SECOND))
    await until_idle()
    assert worker.calls == [["a"], ["a", "b"]]
    worker.go.set()
    assert (await first).tolist() == [vector_of("a", FIRST).tolist()]
    assert (await second).tolist() == [vector_of(text, SECOND).tolist() for text in ("a", "b")]


async def test_a_text_that_fails_fails_its_caller_only() -> None:
    vectors = QueryVectors((worker := Worker()).embed)
    worker.refused = {"bad"}
    ahead = [asked(vectors, f"ahead {n}") for n in range(AT_ONCE)]
    good, bad = asked(vectors, "good"), asked(vectors, "bad")
    await until_idle()
    worker.go.set()
    await asyncio.gather(*ahead)
    assert (await good).shape == (1, FIRST.dimension)
    with pytest.raises(InferenceFailed, match="not bad"):
        await bad
    assert worker.calls[-1] == ["good", "bad"]
    worker.refused = set()
    assert (await vectors.of(["bad"], FIRST)).shape == (1, FIRST.dimension)


async def test_a_call_that_fails_fails_its_own_and_is_tried_anew() -> None:
    vectors = QueryVectors((worker := Worker()).embed)
    worker.failure = Unavailable("no worker")
    failing = [asked(vectors, f"text {n}") for n in range(AT_ONCE)]
    await until_idle()
    worker.failure = None
    later = asked(vectors, "later")
    await until_idle()
    worker.go.set()
    for task in failing:
        with pytest.raises(Unavailable):
            await task
    assert (await later).shape == (1, FIRST.dimension)
    assert (await vectors.of(["text 0"], FIRST)).shape == (1, FIRST.dimension)


async def test_a_caller_that_goes_takes_nobody_along() -> None:
    vectors = QueryVectors((worker := Worker()).embed)
    going, staying = asked(vectors, "a"), asked(vectors, "a")
    await until_idle()
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    worker.go.set()
    assert (await staying).tolist() == [vector_of("a", FIRST).tolist()]
    await vectors.of(["a"], FIRST)
    assert worker.calls == [["a"]]


async def test_the_vector_used_longest_ago_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_vectors, "KEPT", 3)
    vectors = QueryVectors((worker := Worker()).embed)
    worker.go.set()
    for text in ("a", "b", "c", "a", "d"):
        await vectors.of([text], FIRST)
    worker.calls.clear()
    for text in ("a", "c", "d"):
        await vectors.of([text], FIRST)
    assert worker.calls == []
    await vectors.of(["b"], FIRST)
    assert worker.calls == [["b"]]


async def test_no_text_is_kept() -> None:
    vectors = QueryVectors((worker := Worker()).embed)
    worker.go.set()
    worker.refused = {"what fails"}
    secret = "".join(["what ", "nobody ", "should know"])
    await vectors.of([secret], FIRST)
    with pytest.raises(InferenceFailed):
        await vectors.of(["what fails"], FIRST)
    worker.calls.clear()
    await until_idle()
    gc.collect()
    held: list[object] = [vectors.__dict__]
    for _ in range(4):
        held += [inner for each in held for inner in _inside(each)]
    assert any(isinstance(each, np.ndarray) for each in held)
    assert not {secret, "what fails"} & {each for each in held if isinstance(each, str)}


def _inside(value: object) -> list[object]:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return list(value) if isinstance(value, list | tuple | set) else []


async def test_who_has_more_time_does_not_wait_for_a_call_that_has_less() -> None:
    vectors = QueryVectors((worker := Worker()).embed)
    with within(10):
        hasty = asked(vectors, "a")
        await until_idle()
    patient = asked(vectors, "a")
    await until_idle()
    assert worker.calls == [["a"], ["a"]]
    worker.go.set()
    assert (await patient).tolist() == (await hasty).tolist()


async def test_a_waiting_text_has_the_time_of_the_most_patient() -> None:
    vectors = QueryVectors((worker := Worker()).embed)
    busy = [asked(vectors, f"first {number}") for number in range(AT_ONCE)]
    await until_idle()
    with within(0):
        hasty = asked(vectors, "late", "both")
        await until_idle()
    patient = asked(vectors, "both")
    await until_idle()
    worker.go.set()
    await asyncio.gather(*busy)
    # What nobody waits for any more is not asked for.
    with pytest.raises(DeadlineExceeded):
        await hasty
    await patient
    assert worker.calls[AT_ONCE:] == [["both"]]


async def test_a_vector_that_is_kept_does_not_keep_those_of_its_call() -> None:
    vectors = QueryVectors((worker := Worker()).embed)
    worker.go.set()
    await vectors.of(["a", "b"], FIRST)
    assert all(vector.base is None for vector in vectors._kept.values())


async def test_calls_that_hang_hold_up_nobody_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_vectors, "TURN_SECONDS", 0.05)
    vectors = QueryVectors((worker := Worker()).embed)
    hung = [asked(vectors, f"hung {number}") for number in range(AT_ONCE)]
    await until_idle()
    later = asked(vectors, "later")
    async with asyncio.timeout(60):
        while len(worker.calls) == AT_ONCE:  # noqa: ASYNC110 (a call that goes out tells nobody)
            await asyncio.sleep(0.01)
    assert worker.calls[AT_ONCE:] == [["later"]]
    worker.go.set()
    assert (await later).tolist() == [vector_of("later", FIRST).tolist()]
    await asyncio.gather(*hung)
    # Those that had their turn are not counted twice when they end.
    monkeypatch.setattr(query_vectors, "TURN_SECONDS", 60.0)
    worker.go.clear()
    tasks = [asked(vectors, f"next {number}") for number in range(AT_ONCE + 1)]
    await until_idle()
    assert len(worker.calls) == 2 * AT_ONCE + 1
    worker.go.set()
    await asyncio.gather(*tasks)


async def test_who_waits_less_long_than_the_call_is_told_in_time() -> None:
    vectors = QueryVectors((worker := Worker()).embed)
    patient = asked(vectors, "a")
    await until_idle()
    with pytest.raises(DeadlineExceeded):
        await vectors.of(["a"], FIRST, seconds=0.01)
    with pytest.raises(DeadlineExceeded):
        await vectors.of(["b"], FIRST, seconds=0)
    worker.go.set()
    assert (await patient).tolist() == (await vectors.of(["a"], FIRST, seconds=0)).tolist()


async def test_those_who_wait_for_the_encoder_are_bounded_and_what_is_known_is_told_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(query_vectors, "MOST_WAITING", 2)
    vectors = QueryVectors((worker := Worker()).embed)
    worker.go.set()
    known = await asked(vectors, "known")
    worker.go.clear()
    waiting = [asked(vectors, text) for text in "ab"]
    await until_idle()
    with pytest.raises(Overloaded):
        await asked(vectors, "c")
    assert (await asked(vectors, "known")).tolist() == known.tolist()
    worker.go.set()
    await asyncio.gather(*waiting)
    await asked(vectors, "c")
