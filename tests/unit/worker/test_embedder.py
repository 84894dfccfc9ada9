"""What becomes of a call's texts, with the real tokenizer and a queue that the test empties."""

import asyncio
import logging
import threading
from collections.abc import Sequence

import pytest
from longtail.runtime.errors import (
    DeadlineExceeded,
    InferenceFailed,
    Overloaded,
    ServiceError,
    Unavailable,
)
from longtail.worker import golden
from longtail.worker.artefact import Artefact
from longtail.worker.cache import Known, VectorCache
from longtail.worker.call import Refused
from longtail.worker.embedder import Embedder
from longtail.worker.golden import GoldenError
from longtail.worker.tokenizer import Role, Tokenizer, TokenizerFailed, Tokens, Truncation
from longtail.worker.waiting import Lane

from tests.unit.worker.conftest import MAX_TOKENS
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


async def test_each_text_gets_its_own_vector_in_order(
    embedder: Embedder, queue: FakeQueue, tokenizer: Tokenizer
) -> None:
    texts = ["a film", "brothers", "quiet", "a quiet film about a film about brothers"]
    call = await start(embedder, *texts)
    queue.answer()
    outcomes = (await call).outcomes
    assert vectors(outcomes) == expected(tokenizer, *texts)
    assert [(o.token_count, o.truncated) for o in outcomes if isinstance(o, Known)] == [
        (4, False),
        (3, False),
        (3, False),
        (MAX_TOKENS, True),
    ]


async def test_the_queue_is_told_who_asks_and_how(embedder: Embedder, queue: FakeQueue) -> None:
    call = await start(embedder, "a", "film", of=terms(BULK, deadline=7.0, caller="ipv6:[::1]:9"))
    queue.answer()
    await call
    assert queue.submitted == [(2, BULK, 7.0, "ipv6:[::1]:9")]


async def test_a_known_text_is_not_computed_again(embedder: Embedder, queue: FakeQueue) -> None:
    first = await start(embedder, "a film", "quiet")
    queue.answer()
    film, quiet = (await first).outcomes
    again = await embedder.embed(["quiet", "a film"], terms(BULK))
    assert list(again.outcomes) == [quiet, film]
    assert (again.tokenize_seconds, again.queue_seconds, again.inference_seconds) == (0, 0, 0)
    assert len(queue.submitted) == len(queue.admitted) == 1


async def test_a_known_text_is_answered_when_the_queue_is_full(
    embedder: Embedder, queue: FakeQueue
) -> None:
    first = await start(embedder, "a film")
    queue.answer()
    outcomes = (await first).outcomes
    queue.full = Overloaded("full", retry_seconds=1)
    assert (await embedder.embed(["a film"], terms())).outcomes == outcomes
    with pytest.raises(Overloaded):
        await embedder.embed(["a film", "quiet"], terms())


async def test_what_decides_the_vector_decides_what_is_known(
    embedder: Embedder, queue: FakeQueue
) -> None:
    long = "a quiet film about a film about brothers"
    variants = [
        terms(role=role, truncation=truncation)
        for role in Role
        for truncation in (Truncation.END, Truncation.START)
    ]
    rows = []
    for variant in variants:
        call = await start(embedder, long, of=variant)
        queue.answer()
        rows += vectors((await call).outcomes)
    assert len({tuple(row) for row in rows}) == len(variants)


async def test_nothing_is_known_without_a_cache(forgetful: Embedder, queue: FakeQueue) -> None:
    for _ in range(2):
        call = await start(forgetful, "a film")
        queue.answer()
        await call
    assert len(queue.submitted) == 2


@pytest.mark.parametrize(
    "error", [DeadlineExceeded("late"), Unavailable("gone"), Overloaded("full", retry_seconds=1)]
)
async def test_what_fails_the_queue_fails_the_call(
    embedder: Embedder, queue: FakeQueue, error: ServiceError
) -> None:
    call = await start(embedder, "a film", "quiet")
    queue.fail(error)
    with pytest.raises(type(error)):
        await call


async def test_a_full_queue_is_found_before_the_texts_are_tokenised(
    artefact_on_disk: Artefact, queue: FakeQueue
) -> None:
    class Untouched(Tokenizer):
        def tokenise(
            self, texts: Sequence[str], role: Role, truncation: Truncation = Truncation.END
        ) -> list[Tokens]:
            raise AssertionError("tokenised for nothing")

    embedder = Embedder(Untouched(artefact_on_disk), queue, VectorCache(0))
    queue.full = Overloaded("full", retry_seconds=1)
    with pytest.raises(Overloaded):
        await embedder.embed(["a film", "film " * 1_000, "a film"], terms())
    # Six characters are some three tokens; no text has more than the encoder reads.
    assert queue.admitted == [(2, 3 + MAX_TOKENS)]


@pytest.mark.parametrize("words", [1, 2_000])
async def test_a_text_that_may_not_be_cut_is_refused_alone(
    embedder: Embedder, queue: FakeQueue, tokenizer: Tokenizer, words: int
) -> None:
    long = "a quiet film about a film about brothers " * words
    call = asyncio.create_task(
        embedder.embed(["a film", long], terms(truncation=Truncation.REFUSE))
    )
    await queue.arrived.wait()
    queue.answer()
    film, refused = (await call).outcomes
    assert vectors([film]) == expected(tokenizer, "a film")
    assert refused == Refused(f"has more than the {MAX_TOKENS} tokens that are read")


async def test_a_large_call_is_tokenised_in_parts_and_in_order(
    embedder: Embedder, queue: FakeQueue, tokenizer: Tokenizer
) -> None:
    texts = [f"{word} {'film ' * 1_500}" for word in ("a", "quiet", "brothers", "about", "find")]
    call = asyncio.create_task(embedder.embed(texts, terms()))
    await queue.arrived.wait()
    queue.answer()
    assert vectors((await call).outcomes) == expected(tokenizer, *texts)


async def test_the_tokenizers_failure_on_a_text_fails_it_alone(
    artefact_on_disk: Artefact, queue: FakeQueue, caplog: pytest.LogCaptureFixture
) -> None:
    class Fragile(Tokenizer):
        def tokenise(
            self, texts: Sequence[str], role: Role, truncation: Truncation = Truncation.END
        ) -> list[Tokens]:
            if "poison" in texts:
                raise TokenizerFailed("panicked")
            return super().tokenise(texts, role, truncation)

    tokenizer = Fragile(artefact_on_disk)
    embedder = Embedder(tokenizer, queue, VectorCache(0))
    with caplog.at_level(logging.ERROR):
        call = await start(embedder, "a film", "poison", "quiet")
    queue.answer()
    film, poison, quiet = (await call).outcomes
    assert vectors([film, quiet]) == expected(tokenizer, "a film", "quiet")
    assert isinstance(poison, InferenceFailed)
    assert "tokenising failed" in caplog.text


async def test_the_time_is_that_of_the_inference_that_started_last(
    embedder: Embedder, queue: FakeQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longtail.worker.embedder.time.monotonic", lambda: 100.0)
    call = await start(embedder, "a film", "quiet", "brothers")
    for i, (started, seconds) in enumerate([(101.0, 0.5), (103.0, 0.25), (102.0, 0.75)]):
        queue.embed(queue.waiting[i], started=started, seconds=seconds)
    result = await call
    assert (result.queue_seconds, result.inference_seconds) == (3.0, 0.25)


async def test_a_vector_computed_anew_is_neither_looked_up_nor_kept(
    embedder: Embedder, queue: FakeQueue, tokenizer: Tokenizer
) -> None:
    for _ in range(2):
        queue.arrived.clear()
        probe = asyncio.create_task(embedder.embed_anew("a film", Role.QUERY, 5.0))
        await queue.arrived.wait()
        queue.answer()
        assert (await probe).tolist() == expected(tokenizer, "a film", role=Role.QUERY)[0]
    call = await start(embedder, "a film", of=terms(role=Role.QUERY))
    queue.answer()
    await call
    assert [(lane, deadline) for _, lane, deadline, _ in queue.submitted] == [
        (INTERACTIVE, 5.0),
        (INTERACTIVE, 5.0),
        (INTERACTIVE, 10.0),
    ]


async def test_a_tokenizer_that_hangs_is_noticed_by_the_golden_check(
    artefact_on_disk: Artefact, queue: FakeQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()

    class Hanging(Tokenizer):
        def tokenise(
            self, texts: Sequence[str], role: Role, truncation: Truncation = Truncation.END
        ) -> list[Tokens]:
            released.wait()
            return super().tokenise(texts, role, truncation)

    monkeypatch.setattr(golden, "_DEAD_SECONDS", 0.01)
    embedder = Embedder(Hanging(artefact_on_disk), queue, VectorCache(0))
    try:
        with pytest.raises(GoldenError, match="no answer"):
            await golden.check(artefact_on_disk.manifest.golden, embedder.embed_anew)
    finally:
        released.set()


async def test_no_texts_need_nothing(embedder: Embedder, queue: FakeQueue) -> None:
    assert list((await embedder.embed([], terms())).outcomes) == []
    assert not queue.admitted
    assert not queue.submitted
