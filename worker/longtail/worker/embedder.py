"""What becomes of one call's texts: known already, being computed for another call, or queued."""

import asyncio
import logging
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeAlias, cast

import numpy as np
from longtail.runtime.errors import InferenceFailed
from longtail.worker import metrics
from longtail.worker.batcher import Queued, Receiver
from longtail.worker.cache import Key, Known, VectorCache, key_of
from longtail.worker.call import Refused, Result, Terms
from longtail.worker.single_flight import Call, Flights
from longtail.worker.tokenizer import Role, Tokenizer, TokenizerFailed, Tokens, Truncation
from longtail.worker.vectors import TokenIds, Vector
from longtail.worker.waiting import Lane

logger = logging.getLogger(__name__)

# Below this, tokenising takes less time than a thread takes to be handed the work.
_INLINE_CHARACTERS = 1_000
# What the thread takes at once, so that a long text does not wait for the whole of a large call.
_CHUNK_CHARACTERS = 16_000
_CHARACTERS_PER_TOKEN = 4
_SPECIAL_TOKENS = 2
_OURSELVES, _ANEW = "worker", b"anew"

Tokenised: TypeAlias = Tokens | InferenceFailed


class Queue(Protocol):
    """What the embedder needs of longtail.worker.batcher.Batcher."""

    def admit(self, *, texts: int, tokens: int, lane: Lane, deadline: float, caller: str) -> None:
        """Raise Overloaded or Unavailable when so much more cannot be taken."""

    def submit(
        self,
        texts: Sequence[tuple[TokenIds, Receiver]],
        *,
        lane: Lane,
        deadline: float,
        caller: str,
    ) -> list[Queued]:
        """Queue every text."""

    def withdraw(self, entry: Queued, lane: Lane) -> None:
        """Compute a text no more."""


class Embedder:
    """Texts to vectors; large calls are tokenised on one thread, so as not to starve inference."""

    def __init__(self, tokenizer: Tokenizer, queue: Queue, cache: VectorCache) -> None:
        self._tokenizer = tokenizer
        self._queue = queue
        self._cache = cache
        self._flights = Flights(cache.put)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tokenise")

    async def embed(self, texts: Sequence[str], terms: Terms) -> Result:
        """Embed `texts`; one that the encoder fails on fails alone.

        Raises Overloaded, DeadlineExceeded or Unavailable. When the caller is cancelled, those of
        its texts that nobody else waits for leave the queue.
        """
        keys = [key_of(text, terms.role, terms.truncation) for text in texts]
        call = Call(terms)
        unknown = self._look_up(call, keys, texts)
        started = tokenised = time.monotonic()
        try:
            if unknown:
                tokens = await self._tokenise(list(unknown.values()), terms)
                tokenised = time.monotonic()
                exemplar = terms.trace.context.exemplar if terms.trace is not None else None
                metrics.TOKENIZE_SECONDS.observe(tokenised - started, exemplar)
                self._take_off(call, dict(zip(unknown, tokens, strict=True)))
            await self._land(call)
        finally:
            self._leave(call, self._flights)
        outcomes = [call.outcomes[key] for key in keys]
        if call.last is None:
            return Result(outcomes, tokenised - started)
        # What was joined may have started before this call came.
        queued = max(0.0, call.last.started - tokenised)
        seconds, batch = call.last.inference_seconds, call.last.batch
        return Result(outcomes, tokenised - started, queued, seconds, batch)

    async def embed_anew(self, text: str, role: Role, deadline: float) -> Vector:
        """Compute one text's vector even when it is known, through every stage there is.

        Raises what `embed` raises, and InferenceFailed.
        """
        terms = Terms(role, Truncation.END, Lane.INTERACTIVE, deadline, _OURSELVES)
        (tokens,) = await self._on_thread([text], terms)
        if isinstance(tokens, InferenceFailed):
            raise tokens
        call, alone = Call(terms), Flights(lambda key, known: None)
        self._admit([len(tokens.ids)], terms)
        try:
            self._submit(call, {_ANEW: tokens}, alone)
            await call.wait()
        finally:
            self._leave(call, alone)
        outcome = call.outcomes[_ANEW]
        if isinstance(outcome, InferenceFailed):
            raise outcome
        # Nothing refuses a text whose end may be cut.
        return np.frombuffer(cast(Known, outcome).row, "<f4")

    def _look_up(self, call: Call, keys: Sequence[Key], texts: Sequence[str]) -> dict[Key, str]:
        """Note what is known or being computed; return the other texts, each once."""
        unknown: dict[Key, str] = {}
        hits = joined = 0
        for key, text in zip(keys, texts, strict=True):
            known = self._cache.get(key)
            if known is not None:
                call.outcomes[key] = known
                hits += 1
            elif key in unknown:
                continue
            elif key in call.flights or self._flights.join(call, key):
                joined += 1
            else:
                unknown[key] = text
        if hits:
            metrics.CACHE_HITS.inc(hits)
        if hits < len(keys):
            metrics.CACHE_MISSES.inc(len(keys) - hits)
        if joined:
            metrics.JOINED.inc(joined)
        return unknown

    def _admit(self, tokens: Collection[int], terms: Terms) -> None:
        self._queue.admit(
            texts=len(tokens),
            tokens=sum(tokens),
            lane=terms.lane,
            deadline=terms.deadline,
            caller=terms.caller,
        )

    async def _tokenise(self, texts: Sequence[str], terms: Terms) -> list[Tokenised]:
        lengths = [len(text) for text in texts]
        most = self._tokenizer.max_tokens
        # A full queue is said to be full before anything is spent on the call.
        guess = [min(most, n // _CHARACTERS_PER_TOKEN + _SPECIAL_TOKENS) for n in lengths]
        self._admit(guess, terms)
        if sum(lengths) <= _INLINE_CHARACTERS:
            return self._tokenise_now(texts, terms)
        tokens: list[Tokenised] = []
        for chunk in _chunks(texts):
            tokens += await self._on_thread(chunk, terms)
        # In the meantime the queue may have become full, and now the tokens are known.
        self._admit([len(each.ids) for each in tokens if isinstance(each, Tokens)], terms)
        return tokens

    async def _on_thread(self, texts: Sequence[str], terms: Terms) -> list[Tokenised]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._tokenise_now, texts, terms)

    def _tokenise_now(self, texts: Sequence[str], terms: Terms) -> list[Tokenised]:
        """Tokenise; when that fails, try each alone: one bad text must not fail its neighbours."""
        try:
            return list(self._tokenizer.tokenise(texts, terms.role, terms.truncation))
        except TokenizerFailed as error:
            if len(texts) == 1:
                logger.exception("tokenising failed characters=%d", len(texts[0]))
                failure = InferenceFailed("the tokenizer failed")
                failure.__cause__ = error
                return [failure]
            return [self._tokenise_now([text], terms)[0] for text in texts]

    def _take_off(self, call: Call, texts: Mapping[Key, Tokenised]) -> None:
        """Queue the texts, but for those that came to be known or queued in the meantime."""
        ready: dict[Key, Tokens] = {}
        for key, tokens in texts.items():
            if isinstance(tokens, InferenceFailed):
                call.outcomes[key] = tokens
            elif tokens.truncated and call.terms.truncation is Truncation.REFUSE:
                most = self._tokenizer.max_tokens
                call.outcomes[key] = Refused(f"has more than the {most} tokens that are read")
            elif known := self._cache.get(key):
                call.outcomes[key] = known
            elif not self._flights.join(call, key):
                ready[key] = tokens
        if ready:
            self._submit(call, ready, self._flights)

    def _submit(self, call: Call, texts: Mapping[Key, Tokens], flights: Flights) -> None:
        terms = call.terms
        starting = [flights.start(call, key, tokens) for key, tokens in texts.items()]
        entries = self._queue.submit(
            [(flight.tokens.ids, flight) for flight in starting],
            lane=terms.lane,
            deadline=terms.deadline,
            caller=terms.caller,
        )
        for flight, entry in zip(starting, entries, strict=True):
            flight.entry = entry

    async def _land(self, call: Call) -> None:
        """Wait for every flight; one that was lost to a deadline before ours is flown again."""
        await call.wait()
        while again := call.take_again():
            self._admit([len(tokens.ids) for tokens in again.values()], call.terms)
            self._take_off(call, again)
            await call.wait()

    def _leave(self, call: Call, flights: Flights) -> None:
        """Wait for nothing any more."""
        for flight in flights.leave(call):
            if flight.entry is not None:
                self._queue.withdraw(flight.entry, flight.lane)


def _chunks(texts: Sequence[str]) -> Iterator[list[str]]:
    """Split `texts` where a chunk has had its characters; one text is never split."""
    chunk: list[str] = []
    characters = 0
    for text in texts:
        if chunk and characters + len(text) > _CHUNK_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
        chunk.append(text)
        characters += len(text)
    yield chunk
