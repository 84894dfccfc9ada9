"""A worker on a real socket that answers what the test says."""

import asyncio
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import numpy as np
from google.rpc import status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from longtail.runtime.errors import ServiceError
from longtail.runtime.message_size import MAX_MESSAGE_BYTES
from longtail.runtime.statuses import abort
from longtail.server.encoder.encoder import Encoder
from longtail.server.store.records import EncoderBinding
from longtail.v1 import embedding_service_pb2 as pb
from longtail.v1 import embedding_service_pb2_grpc as pb_grpc
from numpy.typing import NDArray

SERVICE = "longtail.v1.EmbeddingService"
TINY = EncoderBinding("tiny@1", 2)


class FakeWorker(pb_grpc.EmbeddingServiceServicer):
    """Answers each text with the vector (`number`, place of the text in its call).

    `failure` fails every call and `failures` single texts; `go` holds the calls until it is set,
    and is cleared when `most` have come.
    """

    def __init__(self, number: int = 0, model_id: str = "tiny@1", dimension: int = 2) -> None:
        self.number = number
        self.address = "127.0.0.1:0"
        self.failure: ServiceError | None = None
        self.failures: Mapping[str, status_pb2.Status] = {}
        self.go = asyncio.Event()
        self.go.set()
        self.most = math.inf
        self.calls: list[pb.EmbedRequest] = []
        self.arrived = asyncio.Event()
        self._model = pb.Model(model_id=model_id, dimension=dimension)
        self._health = health.aio.HealthServicer()
        self._server: grpc.aio.Server | None = None

    async def start(self, serving: bool = True) -> "FakeWorker":
        self._server = grpc.aio.server(
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ]
        )
        pb_grpc.add_EmbeddingServiceServicer_to_server(self, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        await self.serve(serving)
        port = self._server.add_insecure_port(self.address)
        self.address = f"127.0.0.1:{port}"
        await self._server.start()
        return self

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)

    async def serve(self, serving: bool) -> None:
        status = health_pb2.HealthCheckResponse
        await self._health.set(SERVICE, status.SERVING if serving else status.NOT_SERVING)

    async def GetModel(
        self,
        request: pb.GetModelRequest,
        context: grpc.aio.ServicerContext[pb.GetModelRequest, pb.GetModelResponse],
    ) -> pb.GetModelResponse:
        return pb.GetModelResponse(model=self._model)

    async def Embed(
        self,
        request: pb.EmbedRequest,
        context: grpc.aio.ServicerContext[pb.EmbedRequest, pb.EmbedResponse],
    ) -> pb.EmbedResponse:
        if len(self.calls) == self.most:
            self.go.clear()
        self.calls.append(request)
        self.arrived.set()
        await self.go.wait()
        if self.failure is not None:
            await abort(context, self.failure.status())
        rows = np.zeros((len(request.texts), self._model.dimension), "<f4")
        rows[:, 0], rows[:, 1] = self.number, np.arange(len(rows))
        return pb.EmbedResponse(
            vectors=rows.tobytes(),
            dimension=self._model.dimension,
            results=[pb.EmbedResult(status=self.failures.get(text)) for text in request.texts],
            model_id=self._model.model_id,
        )


@asynccontextmanager
async def connected(*workers: FakeWorker) -> AsyncIterator[Encoder]:
    """Start `workers`, and an encoder that knows them all."""
    async with AsyncExitStack() as stack:
        for worker in workers:
            await worker.start()
            stack.push_async_callback(worker.stop)
        encoder = Encoder(",".join(worker.address for worker in workers))
        await stack.enter_async_context(encoder)
        await known(encoder, len(workers))
        yield encoder


async def known(encoder: Encoder, count: int) -> None:
    """Return when so many workers have said which encoder they have."""
    async with asyncio.timeout(60):
        while sum(model is not None for model in encoder._group.models()) < count:
            await encoder._group.changed()


async def answered_by(
    encoder: Encoder, texts: int = 1, lane: pb.Lane = pb.LANE_INTERACTIVE
) -> set[int]:
    """Return the numbers of the workers that embedded so many texts with the tiny encoder."""
    batch = [f"text {n}" for n in range(texts)]
    vectors = await rows(encoder, batch, pb.ROLE_ITEM, lane, TINY)
    return set(vectors[:, 0].astype(int).tolist())


async def rows(
    encoder: Encoder, texts: list[str], role: pb.Role, lane: pb.Lane, binding: EncoderBinding
) -> NDArray[np.float32]:
    """Return the vectors of texts that all have one (n, d)."""
    embedded = await encoder.embed(texts, role, lane, binding)
    return np.stack([each for each in embedded if not isinstance(each, ServiceError)])
