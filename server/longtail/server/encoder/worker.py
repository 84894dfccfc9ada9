"""One worker as the server sees it: whether it serves, which encoder it has, how busy it is."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import grpc
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2
from grpc_status import rpc_status
from longtail.runtime.errors import DeadlineExceeded, Overloaded, Unavailable
from longtail.runtime.message_size import MAX_MESSAGE_BYTES
from longtail.runtime.tls import FollowedFiles, channel_credentials
from longtail.runtime.tracing import current_trace, new_span_id
from longtail.server.store.records import EncoderBinding
from longtail.v1 import embedding_service_pb2 as pb
from longtail.v1 import embedding_service_pb2_grpc as pb_grpc

logger = logging.getLogger(__name__)

SERVICE = "longtail.v1.EmbeddingService"
METHOD = f"{SERVICE}/Embed"
RECONNECT_SECONDS = 0.5
GET_MODEL_SECONDS = 5.0
# While a worker does not say when to come back.
RETRY_SECONDS = 0.1
# A worker that did not answer a call is likely gone, which its connection will say soon.
AWAY_SECONDS = 1.0
# One that took so long over a call of somebody who waits hangs, or has more to do than others.
HUNG_SECONDS = 1.0
# It is asked so often whether it serves. One that does not say for so long is stuck: it gets no
# calls, and is asked on until it answers.
PULSE_SECONDS, STUCK_SECONDS = 0.5, 1.0
# By then its connection, which is asked, has told whether it is still there.
AVOIDED_SECONDS = 20.0
# How long calls in flight may go on when the worker's address is no longer one of ours.
CLOSE_SECONDS = 10.0
_CHANNEL_OPTIONS = [
    # A proxy of the environment's is for what lies outside.
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # A worker that comes back is found within a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A machine that vanished closes no connection. The workers allow a ping every 10 s.
    ("grpc.keepalive_time_ms", 15_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # After two without an answer in between gRPC would ping once a minute only.
    ("grpc.http2.max_pings_without_data", 0),
]


@dataclass(frozen=True)
class Security:
    """How a connection is encrypted; `name` is that in the certificate, "" for the host's."""

    files: FollowedFiles
    name: str = ""


class Worker:
    """The connection to one worker. `changed` is called when something is known anew.

    `model` is the encoder that it said it has when it last connected, None while it is away;
    `outstanding` are the texts that were sent to it and are not answered. One that is stuck costs
    the calls that it has, which are ended when that is noticed, and no others: a circuit breaker
    that health closes again.
    """

    def __init__(
        self, address: str, changed: Callable[[], None], security: Security | None = None
    ) -> None:
        self.address = address
        self.model: EncoderBinding | None = None
        self.outstanding = 0
        self._says_serving = self._stuck = False
        self._calls: set[grpc.aio.UnaryUnaryCall[pb.EmbedRequest, pb.EmbedResponse]] = set()
        self._changed = changed
        self._security = security
        self._avoided_until: dict[pb.Lane, float] = {}
        self._failure: grpc.StatusCode | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._connect()

    @property
    def serving(self) -> bool:
        """Whether it said that it serves, and goes on answering."""
        return self._says_serving and not self._stuck

    def reconnect(self) -> None:
        """Go by what the files of certificates hold now; calls in flight end where they began."""
        closing = asyncio.create_task(self._channel.close(CLOSE_SECONDS))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        self._connect()

    async def follow(self) -> None:
        """Keep `serving` and `model` true until cancelled, then close the connection."""
        try:
            while True:
                channel = self._channel
                try:
                    await self._follow_connection()
                except grpc.aio.AioRpcError as error:
                    if channel is self._channel:
                        self._report(error)
                except asyncio.CancelledError:
                    # So does the watch of a connection end that was replaced.
                    task = asyncio.current_task()
                    if channel is self._channel or task is None or task.cancelling():
                        raise
                if channel is not self._channel:
                    continue
                self._says_serving, self._stuck, self.model = False, False, None
                self._changed()
                await asyncio.sleep(RECONNECT_SECONDS)
        finally:
            await self._channel.close(CLOSE_SECONDS)

    def _connect(self) -> None:
        if self._security is None:
            channel = grpc.aio.insecure_channel(self.address, options=_CHANNEL_OPTIONS)
        else:
            name = self._security.name
            named = [("grpc.ssl_target_name_override", name)] if name else []
            channel = grpc.aio.secure_channel(
                self.address,
                channel_credentials(self._security.files),
                options=[*_CHANNEL_OPTIONS, *named],
            )
        self._channel = channel
        self._stub = pb_grpc.EmbeddingServiceStub(channel)
        self._watch = channel.unary_stream(
            "/grpc.health.v1.Health/Watch",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        self._check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )

    async def embed(self, request: pb.EmbedRequest, seconds: float) -> pb.EmbedResponse:
        """Embed through this worker, within `seconds`.

        Raises Unavailable when it is away or has another encoder by now, Overloaded, and
        DeadlineExceeded; others are preferred for a while afterwards, after the last if it had
        HUNG_SECONDS.
        """
        model = self.model
        self.outstanding += len(request.texts)
        try:
            reply = await self._answer(request, seconds)
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED and seconds >= HUNG_SECONDS:
                self._avoid(request.lane, AVOIDED_SECONDS)
            raise self._failed(request.lane, error) from error
        finally:
            self.outstanding -= len(request.texts)
        if model is not None and reply.model_id != model.model_id:
            raise self._away(request.lane)
        return reply

    async def _answer(self, request: pb.EmbedRequest, seconds: float) -> pb.EmbedResponse:
        trace = current_trace()
        if trace is None:
            return await self._outcome(request, self._stub.Embed(request, timeout=seconds))
        span_id, started = new_span_id(), time.perf_counter()
        call = self._stub.Embed(request, timeout=seconds, metadata=trace.metadata(span_id))
        try:
            return await self._outcome(request, call)
        finally:
            # That of a call which nobody waits for any more is known already too.
            code = (await call.code()).name if call.done() else "CANCELLED"
            trace.note_call(METHOD, self.address, span_id, started, code)

    async def _outcome(
        self,
        request: pb.EmbedRequest,
        call: "grpc.aio.UnaryUnaryCall[pb.EmbedRequest, pb.EmbedResponse]",
    ) -> pb.EmbedResponse:
        if request.lane == pb.LANE_BULK:
            # It has the time to wait for what is stuck.
            return await call
        self._calls.add(call)
        try:
            return await call
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise self._away(request.lane) from None
        finally:
            self._calls.discard(call)

    def avoided(self, lane: pb.Lane) -> bool:
        """Say whether others are to be preferred now."""
        return time.monotonic() < self._avoided_until.get(lane, 0.0)

    def _failed(self, lane: pb.Lane, error: grpc.aio.AioRpcError) -> Exception:
        match error.code():
            case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.CANCELLED:
                return self._away(lane)
            case grpc.StatusCode.RESOURCE_EXHAUSTED:
                seconds = _retry_seconds(error)
                self._avoid(lane, seconds)
                return Overloaded("the encoder is overloaded", retry_seconds=seconds)
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                return DeadlineExceeded("the deadline passed while texts were being encoded")
            case _:
                # The server validates before it asks; anything else is a fault of ours.
                return error

    def _away(self, lane: pb.Lane) -> Unavailable:
        self._avoid(lane, AWAY_SECONDS)
        return Unavailable(f"the encoder at {self.address} cannot be reached")

    def _avoid(self, lane: pb.Lane, seconds: float) -> None:
        self._avoided_until[lane] = time.monotonic() + seconds

    async def _follow_connection(self) -> None:
        pulse = asyncio.create_task(self._keep_asking())
        try:
            await self._follow_health()
        finally:
            pulse.cancel()
            await asyncio.gather(pulse, return_exceptions=True)

    async def _follow_health(self) -> None:
        known = False
        async for reply in self._watch(health_pb2.HealthCheckRequest(service=SERVICE)):
            if not known:
                known = True
                model = await self._get_model()
                logger.info("worker found address=%s encoder=%s", self.address, model.model_id)
                self.model, self._failure = model, None
            self._says_serving = reply.status == health_pb2.HealthCheckResponse.SERVING
            self._changed()

    async def _keep_asking(self) -> None:
        """Notice when a worker whose connection is open answers nothing, and when it does again."""
        while True:
            await asyncio.sleep(PULSE_SECONDS)
            if self.model is None:
                continue
            try:
                await self._check(health_pb2.HealthCheckRequest(), timeout=STUCK_SECONDS)
                stuck = False
            except grpc.aio.AioRpcError as error:
                stuck = error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
            if stuck != self._stuck:
                logger.warning("worker address=%s stuck=%s", self.address, stuck)
                self._stuck = stuck
                for call in list(self._calls) if stuck else ():
                    call.cancel()
                self._changed()

    async def _get_model(self) -> EncoderBinding:
        reply = await self._stub.GetModel(pb.GetModelRequest(), timeout=GET_MODEL_SECONDS)
        return EncoderBinding(reply.model.model_id, reply.model.dimension)

    def _report(self, error: grpc.aio.AioRpcError) -> None:
        # Each attempt to reconnect fails the same way.
        if error.code() != self._failure:
            self._failure = error.code()
            logger.warning("worker away address=%s code=%s", self.address, error.code().name)


def _retry_seconds(error: grpc.aio.AioRpcError) -> float:
    """Return when a worker that refused wants to be asked again."""
    status = rpc_status.from_call(cast(grpc.Call, error))
    for detail in status.details if status is not None else ():
        retry = error_details_pb2.RetryInfo()
        if detail.Unpack(retry):
            return float(retry.retry_delay.ToNanoseconds() / 1e9)
    return RETRY_SECONDS
