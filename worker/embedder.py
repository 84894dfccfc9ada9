"""Tokenise and embed one call's texts, through the one queue that all callers share."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from worker import metrics
from worker.batcher import Batcher
from worker.tokenizer import Role, Tokenizer, Tokens
from worker.vectors import Vector

# Below this, tokenising takes less time than a thread takes to be handed the work.
_INLINE_CHARACTERS = 1_000


@dataclass(frozen=True)
class Result:
    """What became of one call: per text its tokens and vector, and where the time went."""

    tokens: Sequence[Tokens]
    vectors: Sequence[Vector]
    tokenize_seconds: float
    queue_seconds: float
    inference_seconds: float


class Embedder:
    """Texts to vectors; large calls are tokenised on one thread, so as not to starve inference."""

    def __init__(self, tokenizer: Tokenizer, batcher: Batcher) -> None:
        self._tokenizer = tokenizer
        self._batcher = batcher
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tokenise")

    async def embed(self, texts: Sequence[str], role: Role, deadline: float) -> Result:
        """Embed `texts` before `deadline`, in seconds of `time.monotonic`.

        Raises what Batcher.embed raises.
        """
        # A full queue is said to be full before anything is spent on the call.
        self._batcher.admit(len(texts))
        started = time.monotonic()
        tokens = await self._tokenise(texts, role)
        tokenised = time.monotonic()
        embedded = await self._batcher.embed([text.ids for text in tokens], deadline)
        metrics.TOKENIZE_SECONDS.observe(tokenised - started)
        last = max(embedded, key=lambda text: text.started)
        return Result(
            tokens=tokens,
            vectors=[text.vector for text in embedded],
            tokenize_seconds=tokenised - started,
            queue_seconds=last.started - tokenised,
            inference_seconds=last.inference_seconds,
        )

    async def _tokenise(self, texts: Sequence[str], role: Role) -> list[Tokens]:
        if sum(map(len, texts)) <= _INLINE_CHARACTERS:
            return self._tokenizer.tokenise(texts, role)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._tokenizer.tokenise, texts, role)
