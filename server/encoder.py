"""The one client of the worker: texts to vectors, with the caller's deadline."""

import asyncio
from collections.abc import Sequence
from typing import cast

import grpc
import numpy as np
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2
from grpc_status import rpc_status
from longtail.v1 import embedding_service_pb2 as pb
from longtail.v1 import embedding_service_pb2_grpc as pb_grpc
from numpy.typing import NDArray

from runtime.deadline import remaining_seconds
from runtime.errors import DeadlineExceeded, FailedPrecondition, Overloaded, Unavailable
from runtime.lifecycle import MAX_MESSAGE_BYTES
from server.store.records import FLOAT32, EncoderBinding

SERVICE = "longtail.v1.EmbeddingService"
TEXTS_PER_CALL = 256
# While the worker does not say when to come back.
RETRY_SECONDS = 0.1


class Encoder:
    """Embeds through the worker at one address, and refuses vectors of another encoder."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._binding: EncoderBinding | None = None
        self._channel = grpc.aio.insecure_channel(
            address,
            options=[
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
                ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
                # A worker that comes back is found within a second.
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 1000),
            ],
        )
        self._stub = pb_grpc.EmbeddingServiceStub(self._channel)
        self._watch = self._channel.unary_stream(
            "/grpc.health.v1.Health/Watch",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()

    def bind(self, binding: EncoderBinding) -> None:
        """From now on refuse vectors that another encoder made."""
        self._binding = binding

    async def describe(self, wait_seconds: float) -> EncoderBinding:
        """Ask the worker which encoder it has, waiting for it if it is not there yet.

        Raises Unavailable when the time has passed.
        """
        try:
            async with asyncio.timeout(wait_seconds):
                while True:
                    try:
                        reply = await self._stub.GetModel(
                            pb.GetModelRequest(), timeout=wait_seconds, wait_for_ready=True
                        )
                    except grpc.aio.AioRpcError as error:
                        if error.code() is not grpc.StatusCode.UNAVAILABLE:
                            raise self._failure(error) from error
                    else:
                        return EncoderBinding(reply.model.model_id, reply.model.dimension)
        except TimeoutError:
            raise self._unreachable() from None

    async def wait_for_change(self, serving: bool) -> bool:
        """Return whether the worker serves, once that is something else than `serving`."""
        try:
            request = health_pb2.HealthCheckRequest(service=SERVICE)
            async for reply in self._watch(request):
                now: bool = reply.status == health_pb2.HealthCheckResponse.SERVING
                if now != serving:
                    return now
        except grpc.aio.AioRpcError:
            pass
        return False

    async def embed(self, texts: Sequence[str], role: pb.Role) -> NDArray[np.float32]:
        """Return one unit row per text (n, d), within the deadline of the RPC being worked on.

        Raises Unavailable, Overloaded or DeadlineExceeded as the worker does, and
        FailedPrecondition when its encoder is not the catalogue's.
        """
        seconds = remaining_seconds()
        calls = [
            self._stub.Embed(
                pb.EmbedRequest(texts=texts[start : start + TEXTS_PER_CALL], role=role),
                timeout=seconds,
            )
            for start in range(0, len(texts), TEXTS_PER_CALL)
        ]
        try:
            replies = await asyncio.gather(*calls)
        except grpc.aio.AioRpcError as error:
            raise self._failure(error) from error
        for reply in replies:
            if self._binding is not None and reply.model_id != self._binding.model_id:
                raise FailedPrecondition(
                    f"the worker at {self.address} has the encoder {reply.model_id}, "
                    f"but the catalogue was built with {self._binding.model_id}"
                )
        return np.concatenate(
            [
                np.frombuffer(reply.vectors, FLOAT32).reshape(-1, reply.dimension)
                for reply in replies
            ]
        )

    def _failure(self, error: grpc.aio.AioRpcError) -> Exception:
        match error.code():
            case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.CANCELLED:
                return self._unreachable()
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                return DeadlineExceeded("the deadline passed while texts were being encoded")
            case grpc.StatusCode.RESOURCE_EXHAUSTED:
                return Overloaded("the encoder is overloaded", retry_seconds=_retry_seconds(error))
            case _:
                # The server validates before it asks; anything else is a fault of ours.
                return error

    def _unreachable(self) -> Unavailable:
        return Unavailable(f"the encoder at {self.address} cannot be reached")


def _retry_seconds(error: grpc.aio.AioRpcError) -> float:
    status = rpc_status.from_call(cast(grpc.Call, error))
    for detail in status.details if status is not None else ():
        retry = error_details_pb2.RetryInfo()
        if detail.Unpack(retry):
            return float(retry.retry_delay.ToNanoseconds() / 1e9)
    return RETRY_SECONDS
