"""The one place where failures become gRPC statuses, and where every RPC gets its bounds.

Each RPC of ours is counted, timed, refused early when too many are in flight, and ended at the
caller's deadline or, when the caller gave none, at ours.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, NoReturn, TypeAlias, cast

import grpc
from google.rpc import status_pb2
from grpc_status import rpc_status
from longtail.runtime.deadline import within
from longtail.runtime.errors import DeadlineExceeded, Overloaded, ServiceError
from longtail.runtime.malformed import (
    Behaviour,
    Context,
    Deserializer,
    forgiving,
    refusing,
    refusing_stream,
)
from longtail.runtime.message_size import fitting
from longtail.runtime.telemetry import RPC_IN_FLIGHT, RPC_SECONDS, RPC_TOTAL

logger = logging.getLogger(__name__)

# grpc's handlers are generic for the type checker only.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"
StreamBehaviour = Callable[[Any, Context], AsyncGenerator[object, None]]

OURS = "/longtail.v1."
RETRY_SECONDS = 0.1


class ServiceInterceptor(grpc.aio.ServerInterceptor):
    """Bounds, counts and translates every RPC of ours that has one request or one answer."""

    def __init__(self, *, max_in_flight: int, unary_seconds: float, stream_seconds: float) -> None:
        self._max_in_flight = max_in_flight
        self._unary_seconds = unary_seconds
        self._stream_seconds = stream_seconds
        self._in_flight = 0
        # Those of ours, wrapped; a method has one handler for as long as its server lives.
        self._handlers: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Wrap the handler of an RPC of ours; leave health and reflection as they are."""
        method = handler_call_details.method
        if method in self._handlers:
            return self._handlers[method]
        handler = await continuation(handler_call_details)
        if handler is None or not method.startswith(OURS):
            return handler
        wrapped = self._handlers[method] = self._wrap(method, handler)
        return wrapped

    def _wrap(self, method: str, handler: "grpc.RpcMethodHandler[Any, Any]") -> Handler:
        # What grpc's types say of a handler holds for its blocking servers.
        deserialize: Any = forgiving(cast(Deserializer, handler.request_deserializer))
        serialize: Any = handler.response_serializer
        if handler.unary_unary is not None:
            unary = fitting(refusing(cast(Behaviour, handler.unary_unary)), serialize)
            guarded = self._guard(method, unary, self._unary_seconds)
            return grpc.unary_unary_rpc_method_handler(guarded, deserialize)
        if handler.unary_stream is not None:
            answers = refusing(_writing(cast(StreamBehaviour, handler.unary_stream)))
            guarded = self._guard(method, answers, self._stream_seconds)
            return grpc.unary_stream_rpc_method_handler(guarded, deserialize, serialize)
        if handler.stream_unary is None:
            raise TypeError(f"{method} streams both ways, which nothing here bounds")
        requests = fitting(refusing_stream(cast(Behaviour, handler.stream_unary)), serialize)
        guarded = self._guard(method, requests, self._stream_seconds)
        return grpc.stream_unary_rpc_method_handler(guarded, deserialize)

    def _guard(self, method: str, behaviour: Behaviour, limit_seconds: float) -> Behaviour:
        counted = self._counted(method.removeprefix(OURS), behaviour, limit_seconds)

        async def guarded(request: object, context: Context) -> object:
            try:
                return await counted(request, context)
            except ServiceError as error:
                # A caller that has stopped reading keeps this waiting; it no longer counts as work.
                await abort(context, error.status())

        return guarded

    def _counted(self, name: str, behaviour: Behaviour, limit_seconds: float) -> Behaviour:
        seconds = RPC_SECONDS.labels(name)

        async def counted(request: object, context: Context) -> object:
            started = time.perf_counter()
            code = grpc.StatusCode.OK
            self._in_flight += 1
            RPC_IN_FLIGHT.inc()
            try:
                return await self._bounded(behaviour, request, context, limit_seconds)
            except ServiceError as error:
                code = error.code
                raise
            except asyncio.CancelledError:
                code = grpc.StatusCode.CANCELLED
                raise
            except Exception as error:
                code = grpc.StatusCode.INTERNAL
                logger.exception("unexpected failure method=%s", name)
                # What went wrong inside is for the log, not for the caller.
                raise InternalError("internal error") from error
            finally:
                self._in_flight -= 1
                RPC_IN_FLIGHT.dec()
                RPC_TOTAL.labels(name, code.name).inc()
                seconds.observe(time.perf_counter() - started)

        return counted

    async def _bounded(
        self,
        behaviour: Behaviour,
        request: object,
        context: Context,
        limit_seconds: float,
    ) -> object:
        if self._in_flight > self._max_in_flight:
            raise Overloaded("too many requests in flight", retry_seconds=RETRY_SECONDS)
        remaining = context.time_remaining()
        seconds = limit_seconds if remaining is None else min(remaining, limit_seconds)
        try:
            with within(seconds):
                async with asyncio.timeout(seconds):
                    return await behaviour(request, context)
        except TimeoutError:
            raise DeadlineExceeded("the deadline passed before the answer was ready") from None


def _writing(behaviour: StreamBehaviour) -> Behaviour:
    """Send the answers of `behaviour` from within, so that it is closed whatever ends the RPC.

    gRPC, given the generator, leaves one that a caller gave up to the garbage collector.
    """

    async def writing(request: object, context: Context) -> None:
        async with aclosing(behaviour(request, context)) as answers:
            # Were they left to a first write that the deadline ends halfway, gRPC would try to send
            # them again with the status, and fail.
            await _sent(context.send_initial_metadata(()))
            async for answer in answers:
                await _sent(context.write(answer))

    return writing


async def _sent(sending: Awaitable[None]) -> None:
    try:
        await sending
    except grpc.aio.BaseError as error:
        # The caller is gone, which gRPC may say here before it cancels this task.
        raise asyncio.CancelledError from error


class InternalError(ServiceError):
    """Something that should not happen."""

    code = grpc.StatusCode.INTERNAL
    reason = "INTERNAL"


async def abort(context: Context, status: status_pb2.Status) -> NoReturn:
    """End the RPC with a rich status."""
    rich = rpc_status.to_status(status)
    await context.abort(rich.code, rich.details, rich.trailing_metadata)
