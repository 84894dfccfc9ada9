"""EmbeddingService over gRPC: the contract's limits on the way in, its bytes on the way out."""

import time

import grpc
import numpy as np
from google.protobuf.duration_pb2 import Duration
from longtail.v1 import embedding_service_pb2 as pb
from longtail.v1 import embedding_service_pb2_grpc as pb_grpc

from runtime.deadline import remaining_seconds
from runtime.errors import InvalidArgument, Violation
from worker.artefact import Manifest
from worker.embedder import Embedder, Result
from worker.model import Placement
from worker.tokenizer import Role

SERVICE = pb.DESCRIPTOR.services_by_name["EmbeddingService"].full_name

MAX_TEXTS = 256
MAX_TEXT_CHARACTERS = 24_000

_ROLES = {pb.ROLE_QUERY: Role.QUERY, pb.ROLE_ITEM: Role.ITEM}


class EmbeddingService(pb_grpc.EmbeddingServiceServicer):
    """Embeds texts and describes the encoder that does it."""

    def __init__(
        self,
        embedder: Embedder,
        manifest: Manifest,
        placement: Placement,
        *,
        max_queued_tokens: int,
    ) -> None:
        self._embedder = embedder
        self._model = _describe(manifest, placement, max_queued_tokens)

    async def Embed(
        self,
        request: pb.EmbedRequest,
        context: grpc.aio.ServicerContext[pb.EmbedRequest, pb.EmbedResponse],
    ) -> pb.EmbedResponse:
        """Embed the texts, all of them or none."""
        _validate(request)
        deadline = time.monotonic() + remaining_seconds()
        result = await self._embedder.embed(request.texts, _ROLES[request.role], deadline)
        return self._response(result)

    async def GetModel(
        self,
        request: pb.GetModelRequest,
        context: grpc.aio.ServicerContext[pb.GetModelRequest, pb.GetModelResponse],
    ) -> pb.GetModelResponse:
        """Describe the encoder."""
        return pb.GetModelResponse(model=self._model)

    def _response(self, result: Result) -> pb.EmbedResponse:
        return pb.EmbedResponse(
            vectors=np.stack(result.vectors).astype("<f4", copy=False).tobytes(),
            dimension=self._model.dimension,
            results=[
                pb.EmbedResult(token_count=len(text.ids), truncated=text.truncated)
                for text in result.tokens
            ],
            model_id=self._model.model_id,
            timings=pb.EmbedTimings(
                queue=_duration(result.queue_seconds),
                tokenize=_duration(result.tokenize_seconds),
                inference=_duration(result.inference_seconds),
            ),
        )


def _validate(request: pb.EmbedRequest) -> None:
    """Raise InvalidArgument that names every field that is wrong."""
    violations = []
    if request.role not in _ROLES:
        violations.append(Violation("role", "must be ROLE_QUERY or ROLE_ITEM"))
    if not 1 <= len(request.texts) <= MAX_TEXTS:
        description = f"must be 1 to {MAX_TEXTS} texts, not {len(request.texts)}"
        violations.append(Violation("texts", description))
    for i, text in enumerate(request.texts[:MAX_TEXTS]):
        if len(text) > MAX_TEXT_CHARACTERS:
            description = f"is {len(text)} characters long, at most {MAX_TEXT_CHARACTERS} fit"
            violations.append(Violation(f"texts[{i}]", description))
        elif not text or text.isspace():
            violations.append(Violation(f"texts[{i}]", "is blank"))
    if violations:
        raise InvalidArgument(*violations)


def _describe(manifest: Manifest, placement: Placement, max_queued_tokens: int) -> pb.Model:
    return pb.Model(
        model_id=manifest.model_id,
        dimension=manifest.dimension,
        max_tokens=manifest.max_tokens,
        device=placement.device,
        execution_provider=placement.execution_provider,
        precision=manifest.precision,
        prompts=pb.Prompts(query=manifest.prompts.query, item=manifest.prompts.item),
        limits=pb.EmbedLimits(
            max_texts=MAX_TEXTS,
            max_text_characters=MAX_TEXT_CHARACTERS,
            max_queued_tokens=max_queued_tokens,
        ),
    )


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration
