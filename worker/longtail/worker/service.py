"""EmbeddingService over gRPC."""

import time

import grpc
from longtail.runtime.deadline import remaining_seconds
from longtail.runtime.tracing import Trace, current_trace
from longtail.v1 import embedding_service_pb2 as pb
from longtail.v1 import embedding_service_pb2_grpc as pb_grpc
from longtail.worker import answer, validation
from longtail.worker.artefact import Manifest
from longtail.worker.call import Result, Terms
from longtail.worker.embedder import Embedder
from longtail.worker.model import Placement
from longtail.worker.validation import MAX_TEXT_CHARACTERS, MAX_TEXTS

SERVICE = pb.DESCRIPTOR.services_by_name["EmbeddingService"].full_name


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
        """Embed the texts; one that cannot be embedded says so alone."""
        started = time.perf_counter()
        ask, trace = validation.read(request, self._model.dimension), current_trace()
        terms = Terms(
            role=ask.role,
            truncation=ask.truncation,
            lane=ask.lane,
            deadline=time.monotonic() + remaining_seconds(),
            caller=context.peer(),
            trace=trace,
        )
        result = await self._embedder.embed(ask.allowed, terms)
        if trace is not None:
            _note(trace, started, result)
        outcomes = ask.with_refused(result.outcomes)
        return answer.response(outcomes, result, self._model, ask.dimensions)

    async def GetModel(
        self,
        request: pb.GetModelRequest,
        context: grpc.aio.ServicerContext[pb.GetModelRequest, pb.GetModelResponse],
    ) -> pb.GetModelResponse:
        """Describe the encoder."""
        return pb.GetModelResponse(model=self._model)


def _note(trace: Trace, started: float, result: Result) -> None:
    """Note the stages of an answer, of which the inference that ended last tells."""
    tokenised = started + result.tokenize_seconds
    if result.tokenize_seconds:
        trace.note("tokenize", started, tokenised)
    if result.inference_seconds:
        began = tokenised + result.queue_seconds
        links = () if result.batch is None else (result.batch,)
        trace.note("queue", tokenised, began)
        trace.note("inference", began, began + result.inference_seconds, links=links)


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
