"""Who is let in to which method, and what bounds that method's RPCs have.

Who calls is found first, and told nothing without a key where keys exist. Calls, streams,
administration and health have places of their own, so that none of them keeps the others out.
"""

import math
from collections.abc import Awaitable, Callable, Collection
from typing import Any, ClassVar
from weakref import WeakSet

import grpc
from longtail.runtime import health
from longtail.runtime.admission import Places, Turns, places_of_calls
from longtail.runtime.errors import ServiceError
from longtail.runtime.guard import PACKAGE, Bounds, admitted, guarded, received
from longtail.runtime.identity import set_caller
from longtail.runtime.intake import Intake
from longtail.runtime.keys import KeyRing
from longtail.runtime.message_size import MAX_MESSAGE_BYTES, MAX_REQUEST_BYTES
from longtail.runtime.statuses import Handler, refusing
from longtail.runtime.telemetry import RPC_IN_FLIGHT
from longtail.runtime.tracing import Tracer
from longtail.runtime.work import Works

OURS = f"/{PACKAGE}"
# Open to everybody at any time, and watched for as long as the watcher likes.
HEALTH = f"/{health.SERVICE}/"
# Of streams, a caller has at most this part of the places.
STREAM_SHARE = 0.25
# Calls at a time of those who look after a server, and of those who ask whether it serves, which
# watch for as long as they like.
ADMINISTRATION_PLACES, HEALTH_PLACES, HEALTH_PLACES_PER_CALLER = 32, 1000, 100


class ServiceInterceptor(grpc.aio.ServerInterceptor):
    """Identifies the caller of every RPC, and has it bounded, counted and translated.

    Requests have up to MAX_REQUEST_BYTES; those of the methods `batches`, such as
    `ItemService/BatchUpsertItems`, and those of streams up to MAX_MESSAGE_BYTES. The services
    `administration`, such as `AdminService`, have places of their own. A stream ends when nothing
    is sent, or nothing read, for `idle_seconds`, a call when its request does not come. Without
    `keys` everybody may do all, and without a `tracer` nothing is traced.
    """

    # Those of this process; each has its own places.
    _every: ClassVar["WeakSet[ServiceInterceptor]"] = WeakSet()

    def __init__(
        self,
        *,
        max_in_flight: int,
        unary_seconds: float,
        stream_seconds: float,
        max_streams: int = 64,
        idle_seconds: float = 30.0,
        batches: Collection[str] = (),
        administration: Collection[str] = (),
        keys: KeyRing | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._unary_seconds = unary_seconds
        self._stream_seconds = stream_seconds
        self._idle_seconds = idle_seconds
        self._batches = batches
        self._keys = keys
        self._tracer = tracer
        self._turns = Turns()
        self._calls = places_of_calls(max_in_flight)
        self._streams = Places(max_streams, math.ceil(STREAM_SHARE * max_streams))
        self._administrators = Places(ADMINISTRATION_PLACES, ADMINISTRATION_PLACES)
        self._health = Places(HEALTH_PLACES, HEALTH_PLACES_PER_CALLER)
        self._administration = administration
        self._every.add(self)
        self._works = Works(Intake(), idle_seconds)
        # Wrapped; a method has one handler for as long as its server lives.
        self._handlers: dict[str, Handler] = {}

    @classmethod
    def in_flight(cls) -> int:
        """Return how many calls this process works on, health apart."""
        return sum(
            places.taken
            for each in list(cls._every)
            for places in (each._calls, each._streams, each._administrators)
        )

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Return the handler of an RPC, wrapped, or one that refuses the caller.

        A refusal comes before anything is read, and is the same for methods that do not exist.
        """
        method = handler_call_details.method
        if self._keys is None or not self._keys.closed or method.startswith(HEALTH):
            return await self._handler(continuation, handler_call_details)
        try:
            caller = self._keys.caller(handler_call_details.invocation_metadata or ())
            handler = await self._handler(continuation, handler_call_details)
            if handler is not None:
                self._keys.check_role(caller, method)
        except ServiceError as error:
            return refusing(error)
        set_caller(caller)
        return handler

    async def _handler(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        method = handler_call_details.method
        if method in self._handlers:
            return self._handlers[method]
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        wrapped = self._handlers[method] = self._wrap(method, handler)
        return wrapped

    def _wrap(self, method: str, handler: "grpc.RpcMethodHandler[Any, Any]") -> Handler:
        # What grpc's types say of a handler holds for its blocking servers. Requests and answers
        # pass gRPC as bytes; the work parses and serializes them. To gRPC all requests are streams,
        # so that what is refused is not read, and what does not come is not waited for without end.
        ours: Any = handler
        forms = ours.request_deserializer, ours.response_serializer
        name = method.removeprefix(OURS).removeprefix("/")
        apart = self._apart(method, name)
        tracer = self._tracer if method.startswith(OURS) else None
        if handler.unary_unary is not None:
            limit = MAX_MESSAGE_BYTES if name in self._batches else MAX_REQUEST_BYTES
            unary: Any = self._works.unary(ours.unary_unary, *forms, limit)
            if apart is not None:
                unary = guarded(name, unary, Bounds(self._unary_seconds, apart), tracer=tracer)
                unary = received(unary, self._idle_seconds)
            else:
                bounds = Bounds(self._unary_seconds, self._calls)
                unary = admitted(name, unary, bounds, self._turns, self._idle_seconds, tracer)
            return grpc.stream_unary_rpc_method_handler(unary)
        bounds = Bounds(self._stream_seconds, self._streams)
        if handler.unary_stream is not None:
            # A watch of health ends when the watcher says so.
            seconds = math.inf if method.startswith(HEALTH) else self._stream_seconds
            bounds = Bounds(seconds, apart or self._streams)
            answers: Any = guarded(
                name, self._works.answers(ours.unary_stream, *forms), bounds, tracer=tracer
            )
            return grpc.stream_stream_rpc_method_handler(received(answers, self._idle_seconds))
        if handler.stream_unary is not None:
            requests: Any = guarded(
                name, self._works.requests(ours.stream_unary, *forms), bounds, tracer=tracer
            )
            return grpc.stream_unary_rpc_method_handler(requests)
        exchange: Any = guarded(
            name, self._works.exchange(ours.stream_stream, *forms), bounds, tracer=tracer
        )
        return grpc.stream_stream_rpc_method_handler(exchange)

    def _apart(self, method: str, name: str) -> Places | None:
        """Return the places of methods that never wait for those of others."""
        if method.startswith(HEALTH):
            return self._health
        service = name.partition("/")[0]
        return self._administrators if service in self._administration else None


RPC_IN_FLIGHT.set_function(ServiceInterceptor.in_flight)
