"""Calls for the same texts at the same time, in front of a queue that the test empties."""

import asyncio

import numpy as np
import pytest
from longtail.runtime.errors import DeadlineExceeded, InferenceFailed
from longtail.worker.artefact import Artefact
from longtail.worker.cache import VectorCache
from longtail.worker.embedder import Embedder
from longtail.worker.tokenizer import Tokenizer
from longtail.worker.waiting import Lane
from prometheus_client import REGISTRY

from tests.unit.worker.fake_queue import FakeQueue, expected, start, terms, vectors

INTERACTIVE, BULK = Lane.INTERACTIVE, Lane.BULK


@pytest.fixture
async def queue() -> FakeQueue:
    return FakeQueue()


@pytest.fixture
def tokenizer(artefact_on_disk: Artefact) -> Tokenizer:
    return Tokenizer(artefact_on_disk)


@pytest.fixture
def embedder(tokenizer: Tokenizer, queue: FakeQueue) -> Embedder:
    return Embedder(tokenizer, queue, VectorCache(1_000_000))


@pytest.fixture
def forgetful(tokenizer: Tokenizer, queue: FakeQueue) -> Embedder:
    return Embedder(tokenizer, queue, VectorCache(0))


async def test_a_text_twice_in_one_call_is_computed_once(
    forgetful: Embedder, queue: FakeQueue, tokenizer: Tokenizer
) -> None:
    texts = ["a film", "quiet", "a film", "a film"]
    call = await start(forgetful, *texts)
    assert len(queue.waiting) == 2
    queue.answer()
    assert vectors((await call).outcomes) == expected(tokenizer, *texts)


async def test_callers_of_the_same_text_wait_for_one_computation(
    forgetful: Embedder, queue: FakeQueue, tokenizer: Tokenizer
) -> None:
    calls = [await start(forgetful, "a film", caller) for caller in ("a", "quiet", "brothers")]
    assert len(queue.waiting) == 4
    queue.answer()
    for call, own in zip(calls, ("a", "quiet", "brothers"), strict=True):
        assert vectors((await call).outcomes) == expected(tokenizer, "a film", own)


async def test_who_leaves_does_not_take_the_text_from_those_who_wait(
    forgetful: Embedder, queue: FakeQueue, tokenizer: Tokenizer
) -> None:
    leader, follower = [await start(forgetful, "a film") for _ in range(2)]
    leader.cancel()
    await asyncio.gather(leader, return_exceptions=True)
    late = await start(forgetful, "a film")
    queue.answer()
    assert vectors((await follower).outcomes) == expected(tokenizer, "a film")
    assert vectors((await late).outcomes) == expected(tokenizer, "a film")
    assert len(queue.submitted) == 1


async def test_a_text_that_nobody_waits_for_leaves_the_queue(
    forgetful: Embedder, queue: FakeQueue
) -> None:
    calls = [await start(forgetful, "a film") for _ in range(2)]
    (entry,) = queue.waiting
    calls[0].cancel()
    await asyncio.gather(calls[0], return_exceptions=True)
    assert not queue.withdrawn
    calls[1].cancel()
    await asyncio.gather(calls[1], return_exceptions=True)
    assert queue.withdrawn == [entry]
    assert entry.answer.done
    # Who comes now does not join what was given up.
    fresh = await start(forgetful, "a film")
    queue.answer()
    assert len((await fresh).outcomes) == 1


async def test_a_failure_reaches_all_who_wait_and_is_not_remembered(
    embedder: Embedder, queue: FakeQueue, tokenizer: Tokenizer
) -> None:
    calls = [await start(embedder, "a film") for _ in range(2)]
    failure = InferenceFailed("the encoder failed")
    queue.fail(failure)
    for call in calls:
        assert list((await call).outcomes) == [failure]
    again = await start(embedder, "a film")
    queue.answer()
    assert vectors((await again).outcomes) == expected(tokenizer, "a film")


async def test_a_text_that_fails_does_not_fail_its_call(
    embedder: Embedder, queue: FakeQueue, tokenizer: Tokenizer
) -> None:
    bad = await start(embedder, "quiet")
    call = await start(embedder, "a film", "quiet")
    failure = InferenceFailed("the encoder failed")
    queue.waiting[0].answer.failed(failure)
    queue.answer()
    film, quiet = (await call).outcomes
    assert vectors([film]) == expected(tokenizer, "a film")
    assert quiet is failure
    assert list((await bad).outcomes) == [failure]


async def test_a_follower_with_more_time_outlives_the_leaders_deadline(
    forgetful: Embedder, queue: FakeQueue, tokenizer: Tokenizer
) -> None:
    hurried = await start(forgetful, "a film", of=terms(deadline=1.0))
    patient = [await start(forgetful, "a film", of=terms(deadline=9.0)) for _ in range(2)]
    queue.fail(DeadlineExceeded("too late"))
    with pytest.raises(DeadlineExceeded):
        await hurried
    await asyncio.sleep(0)
    assert [deadline for _, _, deadline, _ in queue.submitted] == [1.0, 9.0]
    queue.answer()
    for call in patient:
        assert vectors((await call).outcomes) == expected(tokenizer, "a film")


async def test_nobody_interactive_waits_for_bulk_work(
    forgetful: Embedder, queue: FakeQueue, tokenizer: Tokenizer
) -> None:
    bulk = await start(forgetful, "a film", of=terms(BULK))
    interactive = await start(forgetful, "a film")
    also_bulk = await start(forgetful, "a film", of=terms(BULK))
    assert [lane for _, lane, _, _ in queue.submitted] == [BULK, INTERACTIVE]
    # The interactive one is done first; who joined it is too.
    queue.embed(queue.waiting[1])
    for call in (interactive, also_bulk):
        assert vectors((await call).outcomes) == expected(tokenizer, "a film")
    assert not bulk.done()
    queue.answer()
    assert vectors((await bulk).outcomes) == expected(tokenizer, "a film")


async def test_a_text_that_came_to_be_known_while_it_was_tokenised_is_not_computed(
    embedder: Embedder, queue: FakeQueue
) -> None:
    long = "film " * 1_500
    calls = [asyncio.create_task(embedder.embed([long], terms())) for _ in range(3)]
    await queue.arrived.wait()
    queue.answer()
    results = [await call for call in calls]
    assert len({outcome for result in results for outcome in result.outcomes}) == 1
    assert len(queue.submitted) == 1


async def test_what_started_before_the_call_came_was_not_waited_for(
    embedder: Embedder, queue: FakeQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longtail.worker.embedder.time.monotonic", lambda: 100.0)
    call = await start(embedder, "a film")
    queue.answer(started=99.0)
    assert (await call).queue_seconds == 0


async def test_what_was_known_joined_or_computed_is_counted(
    embedder: Embedder, queue: FakeQueue
) -> None:
    def counted() -> list[float]:
        names = ("cache_hits", "cache_misses", "joined")
        samples = [REGISTRY.get_sample_value(f"longtail_worker_{name}_total") for name in names]
        return [sample or 0 for sample in samples]

    before = counted()
    first = await start(embedder, "a film", "quiet")
    second = await start(embedder, "quiet", "brothers", "brothers")
    queue.answer()
    await asyncio.gather(first, second)
    await embedder.embed(["a film", "quiet", "brothers"], terms())
    assert np.subtract(counted(), before).tolist() == [3, 5, 1]
