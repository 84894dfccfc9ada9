"""Texts to vectors, through whichever workers have the encoder that is asked for and serve."""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from google.rpc import code_pb2, error_details_pb2, status_pb2
from longtail.runtime.deadline import remaining_seconds
from longtail.runtime.errors import (
    DeadlineExceeded,
    InferenceFailed,
    InvalidArgument,
    Overloaded,
    ServiceError,
    Unavailable,
    Violation,
)
from longtail.server.encoder.addresses import Resolve, resolve
from longtail.server.encoder.group import WorkerGroup
from longtail.server.encoder.passages import Embedded, Read, read_whole
from longtail.server.encoder.worker import Security, Worker
from longtail.server.store.records import FLOAT32, EncoderBinding
from longtail.v1 import embedding_service_pb2 as pb

logger = logging.getLogger(__name__)

TEXTS_PER_CALL = 256
# A character has up to four bytes, and a message up to 16 MiB.
CHARACTERS_PER_CALL = 3_000_000
# While one is computed the next one waits; more would only fill the workers' queues.
CALLS_PER_WORKER = 2
# An import has an hour; a worker that does not answer one of its calls for so long is stuck.
BULK_SECONDS = 60.0
# Of the time that somebody waits who could still be answered by another worker.
SHARE = 0.5
RETRY_SECONDS = 1.0
# The catalogue may come to need another encoder while nothing happens to the workers.
RECHECK_SECONDS = 1.0


class Encoder:
    """Embeds through several workers, of one encoder or of several.

    `addresses` are separated by commas; raises ValueError when they are none. The workers are known
    while it is entered as a context. A call says which encoder it is for, and goes to the worker of
    that encoder with the fewest texts outstanding, in turn among equals. With `security` the
    connections to them are encrypted.
    """

    def __init__(
        self, addresses: str, resolve: Resolve = resolve, security: Security | None = None
    ) -> None:
        self._group = WorkerGroup(addresses, resolve, security)
        self._turn = 0
        self._strangers: frozenset[tuple[str, EncoderBinding]] = frozenset()

    async def __aenter__(self) -> "Encoder":
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._group.__aexit__()

    @property
    def address(self) -> str:
        """Return where the workers are looked for, for a message."""
        return ", ".join(self._group.addresses)

    def models(self) -> frozenset[EncoderBinding]:
        """Return the encoders of the workers that are connected."""
        return frozenset(model for model in self._group.models() if model is not None)

    def usable(self, binding: EncoderBinding) -> bool:
        """Return whether a worker with that encoder serves."""
        return bool(self._group.usable(binding))

    def calls_at_once(self, binding: EncoderBinding) -> int:
        """Return how many calls of TEXTS_PER_CALL keep the workers of that encoder busy, from 1."""
        return CALLS_PER_WORKER * max(1, len(self._group.usable(binding)))

    async def describe(
        self, wait_seconds: float, wanted: EncoderBinding | None = None
    ) -> EncoderBinding:
        """Return the encoder that the workers have, waiting for one that has the one `wanted`.

        Without one that is wanted, the first worker that answers decides. Another one is returned
        only when every worker has another. Raises Unavailable when the time has passed.
        """
        try:
            async with asyncio.timeout(wait_seconds):
                while (found := self._agreed(wanted)) is None:
                    await self._group.changed()
                return found
        except TimeoutError:
            raise Unavailable(f"the encoder at {self.address} cannot be reached") from None

    async def wait_for_change(self, serving: bool, needed: Callable[[], EncoderBinding]) -> bool:
        """Return whether a worker can be used, once that is something else than `serving`.

        `needed` says which encoder the catalogue needs; its answer may change. Workers that have
        another one are named in the log when they come.
        """
        while self.usable(needed()) == serving:
            self._name_strangers(needed())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RECHECK_SECONDS):
                    await self._group.changed()
        return not serving

    async def embed(
        self, texts: Sequence[str], role: pb.Role, lane: pb.Lane, binding: EncoderBinding
    ) -> list[Embedded]:
        """Return what becomes of each text, within the deadline of the RPC being worked on.

        A text is read whole, in passages where it is long. Raises Unavailable, Overloaded or
        DeadlineExceeded as the workers of that encoder do.
        """
        return await read_whole(
            texts, lambda passages: self._embed_parts(passages, role, lane, binding)
        )

    async def _embed_parts(
        self, texts: Sequence[str], role: pb.Role, lane: pb.Lane, binding: EncoderBinding
    ) -> list[Read]:
        parts = list(_parts(texts))
        if len(parts) == 1:
            return await self._embed_part(parts[0], role, lane, binding)
        room = asyncio.Semaphore(self.calls_at_once(binding))

        async def embed_part(part: Sequence[str]) -> list[Read]:
            async with room:
                return await self._embed_part(part, role, lane, binding)

        tasks = [asyncio.create_task(embed_part(part)) for part in parts]
        try:
            return list(itertools.chain(*await asyncio.gather(*tasks)))
        finally:
            # When one fails, the others are not worth their work.
            for task in tasks:
                task.cancel()

    async def _embed_part(
        self, texts: Sequence[str], role: pb.Role, lane: pb.Lane, binding: EncoderBinding
    ) -> list[Read]:
        """Embed through one worker, or another: once when it is away, or when it has less to do.

        One that hangs takes a share of an interactive caller's time, and leaves the rest to others.
        """
        request = pb.EmbedRequest(texts=texts, role=role, lane=lane)
        refusals: list[Overloaded] = []
        late: DeadlineExceeded | None = None
        tried: list[Worker] = []
        away = 0
        while away < 2 and (worker := self._choose(binding, lane, tried, willing=bool(refusals))):
            tried.append(worker)
            others = any(each not in tried for each in self._group.usable(binding))
            try:
                return _read(texts, await worker.embed(request, _seconds(lane, others)))
            except Overloaded as refusal:
                refusals.append(refusal)
            except Unavailable:
                away += 1
            except DeadlineExceeded as error:
                late = error
                if not others or lane == pb.LANE_BULK:
                    break
        if late is not None:
            raise _late(late) from late
        if refusals:
            raise min(refusals, key=lambda refusal: refusal.retry_seconds)
        raise Unavailable(
            f"no worker with the encoder {binding.model_id} can be reached at {self.address}"
        )

    def _choose(
        self, binding: EncoderBinding, lane: pb.Lane, tried: Sequence[Worker], *, willing: bool
    ) -> Worker | None:
        """Return the usable worker with the least to do that is not `tried`.

        Those that refused lately come last, and not at all when it must be `willing`.
        """
        free = [worker for worker in self._group.usable(binding) if worker not in tried]
        if willing:
            free = [worker for worker in free if not worker.avoided(lane)]
        if not free:
            return None
        self._turn += 1
        turn = self._turn % len(free)
        in_turn = free[turn:] + free[:turn]
        return min(in_turn, key=lambda worker: (worker.avoided(lane), worker.outstanding))

    def _agreed(self, wanted: EncoderBinding | None) -> EncoderBinding | None:
        models = self._group.models()
        found = [model for model in models if model is not None]
        if wanted in found:
            return wanted
        return found[0] if found and (wanted is None or len(found) == len(models)) else None

    def _name_strangers(self, needed: EncoderBinding) -> None:
        strangers = self._group.strangers(needed)
        for address, model in sorted(strangers - self._strangers, key=str):
            logger.warning(
                "worker not used address=%s encoder=%s catalogue=%s: "
                "RebuildIndex with model_id=%s takes its encoder in",
                address,
                model.model_id,
                needed.model_id,
                model.model_id,
            )
        self._strangers = strangers


def _parts(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    start = characters = 0
    for end, text in enumerate(texts):
        characters += len(text)
        if end - start == TEXTS_PER_CALL or characters > CHARACTERS_PER_CALL:
            yield texts[start:end]
            start, characters = end, len(text)
    yield texts[start:]


def _seconds(lane: pb.Lane, others: bool) -> float:
    """Return how long a worker may take, where there are `others` to be asked afterwards."""
    remaining = remaining_seconds()
    if lane == pb.LANE_BULK:
        return min(remaining, BULK_SECONDS)
    return SHARE * remaining if others else remaining


def _late(error: DeadlineExceeded) -> Exception:
    # A worker has a limit of its own, and so has a bulk call; the caller has more time than that.
    if remaining_seconds() > RETRY_SECONDS:
        return Overloaded("the encoder is overloaded", retry_seconds=RETRY_SECONDS)
    return error


def _read(texts: Sequence[str], reply: pb.EmbedResponse) -> list[Read]:
    # What lies in a message cannot be written to.
    rows = np.frombuffer(reply.vectors, FLOAT32).reshape(len(texts), reply.dimension)
    return [
        Read(_failure(result.status) if result.status.code else row, result.truncated)
        for result, row in zip(reply.results, rows.astype(np.float32), strict=True)
    ]


def _failure(status: status_pb2.Status) -> ServiceError:
    """Return why a text has no vector; the worker knows it by its place in a call of ours."""
    if status.code != code_pb2.INVALID_ARGUMENT:
        return InferenceFailed(f"the encoder failed on a text: {status.message}")
    bad = error_details_pb2.BadRequest()
    named = any(detail.Unpack(bad) for detail in status.details) and bad.field_violations
    reason = bad.field_violations[0].description if named else status.message
    return InvalidArgument(Violation("text", f"cannot be encoded: {reason}"))
