"""The one place where failures become gRPC statuses, and where every RPC gets its bounds.

Who calls is found first, and told nothing without a key where keys exist. Each RPC is counted,
timed, refused early when too many are in flight, and ended at the caller's deadline or, when the
caller gave none, at ours; only health is always told. What is asked is parsed here: a large request
in a thread of its own, so that the event loop goes on.
"""

import asyncio
import logging
import math
import time
import types
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Generator,
    Iterator,
)
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from typing import Any, NoReturn, TypeAlias

import grpc
from google.protobuf.message import Message
from google.rpc import status_pb2
from grpc_status import rpc_status
from longtail.runtime import health
from longtail.runtime.deadline import set_deadline
from longtail.runtime.errors import DeadlineExceeded, Overloaded, ServiceError
from longtail.runtime.identity import Allowance, caller_at, current_caller, set_caller
from longtail.runtime.keys import KeyRing
from longtail.runtime.message_size import (
    MAX_MESSAGE_BYTES,
    MAX_REQUEST_BYTES,
    check_request_size,
    fitting,
)
from longtail.runtime.parsing import Parse, parse
from longtail.runtime.telemetry import REFUSED_CALLERS, RPC_IN_FLIGHT, RPC_SECONDS, RPC_TOTAL

logger = logging.getLogger(__name__)

# grpc's handlers are generic for the type checker only.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"
Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
# What a service answers: a message, or the bytes of one that a thread has serialized.
Answer = Message | bytes
Serialize = Callable[[Answer], bytes]
# An RPC from what came on the wire to what goes out, None when it has sent its answers itself.
Work = Callable[[Any, Context], Coroutine[Any, Any, bytes | None]]

OURS = "/longtail.v1."
# Open to everybody at any time, and watched for as long as the watcher likes.
HEALTH = f"/{health.SERVICE}/"
RETRY_SECONDS = 0.1
# A request up to this size is parsed on the event loop: a thread would cost as much.
INLINE_BYTES = 64 * 1024
# Of larger requests, all together. Each is held as it came, and parsed takes several times as much.
MAX_LARGE_BYTES = 256 * 2**20

OK, CANCELLED = grpc.StatusCode.OK, grpc.StatusCode.CANCELLED
TOO_MANY = Overloaded("too many requests in flight", retry_seconds=RETRY_SECONDS)


class InternalError(ServiceError):
    """Something that should not happen."""

    code = grpc.StatusCode.INTERNAL
    reason = "INTERNAL"


class ServiceInterceptor(grpc.aio.ServerInterceptor):
    """Identifies, bounds, counts and translates every RPC.

    Requests have up to MAX_REQUEST_BYTES; those of the methods `batches`, such as
    `ItemService/BatchUpsertItems`, and those of streams up to MAX_MESSAGE_BYTES. Without `keys`
    everybody may do all.
    """

    def __init__(
        self,
        *,
        max_in_flight: int,
        unary_seconds: float,
        stream_seconds: float,
        batches: Collection[str] = (),
        keys: KeyRing | None = None,
    ) -> None:
        self._max_in_flight = max_in_flight
        self._unary_seconds = unary_seconds
        self._stream_seconds = stream_seconds
        self._batches = batches
        self._keys = keys
        self._in_flight = self._large_bytes = 0
        RPC_IN_FLIGHT.set_function(lambda: self._in_flight)
        self._too_many = rpc_status.to_status(TOO_MANY.status())
        # Of large requests, one at a time: more threads would only fight for the interpreter.
        self._parsing = ThreadPoolExecutor(1, thread_name_prefix="parsing")
        # Wrapped; a method has one handler for as long as its server lives.
        self._handlers: dict[str, Handler] = {}

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
            return _refusing(error)
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
        # What grpc's types say of a handler holds for its blocking servers.
        ours: Any = handler
        name = method.removeprefix(OURS).removeprefix("/")
        serialize = _serializer(ours.response_serializer)
        # Requests and answers pass gRPC as bytes; the work parses and serializes them.
        if handler.unary_unary is not None:
            limit = MAX_MESSAGE_BYTES if name in self._batches else MAX_REQUEST_BYTES
            unary = self._unary(ours.unary_unary, ours.request_deserializer, serialize, limit)
            guarded = self._guard(name, unary, self._unary_seconds)
            return grpc.unary_unary_rpc_method_handler(guarded)
        if handler.unary_stream is not None:
            answers = self._answers(ours.unary_stream, ours.request_deserializer, serialize)
            # A watch of health ends when the watcher says so.
            limit_seconds = math.inf if method.startswith(HEALTH) else self._stream_seconds
            guarded = self._guard(name, answers, limit_seconds)
            return grpc.unary_stream_rpc_method_handler(guarded)
        if handler.stream_unary is not None:
            requests = self._requests(ours.stream_unary, ours.request_deserializer, serialize)
            guarded = self._guard(name, requests, self._stream_seconds)
            return grpc.stream_unary_rpc_method_handler(guarded)
        exchange = self._exchange(ours.stream_stream, ours.request_deserializer, serialize)
        guarded = self._guard(name, exchange, self._stream_seconds)
        return grpc.stream_stream_rpc_method_handler(guarded)

    def _guard(self, name: str, work: Work, limit_seconds: float) -> Any:  # noqa: ANN401 (for grpc)
        observe = RPC_SECONDS.labels(name).observe
        totals = _Totals(name)
        # Whether we serve is told when there is too much to do, above all.
        place = 0 if f"/{name}".startswith(HEALTH) else 1

        async def guarded(content: object, context: Context) -> bytes | None:
            if place and self._in_flight >= self._max_in_flight:
                # It costs as little as can be: when it comes, there is too much to do.
                totals[TOO_MANY.code]()
                observe(0.0)
                return await _abort(context, self._too_many)
            started = time.perf_counter()
            self._in_flight += place
            code = OK
            try:
                remaining = context.time_remaining()
                seconds = limit_seconds if remaining is None else min(remaining, limit_seconds)
                set_deadline(seconds)
                allowance = caller_at(context.peer).allowance
                # Work that never waits, as most of what is asked again, needs no timer.
                if allowance is None:
                    running = work(content, context)
                else:
                    running = _within(allowance, work, content, context)
                try:
                    awaited = running.send(None)
                except StopIteration as done:
                    return done.value  # type: ignore[no-any-return]  # of a coroutine
                async with asyncio.timeout(seconds):
                    return await _rest(running, awaited)
            except ServiceError as error:
                code, failure = error.code, error
            except TimeoutError:
                failure = DeadlineExceeded("the deadline passed before the answer was ready")
                code = failure.code
            except asyncio.CancelledError:
                code = CANCELLED
                raise
            except Exception:
                logger.exception("unexpected failure method=%s", name)
                # What went wrong inside is for the log, not for the caller.
                code, failure = InternalError.code, InternalError("internal error")
            finally:
                self._in_flight -= place
                totals[code]()
                observe(time.perf_counter() - started)
            # A caller that has stopped reading keeps this waiting; it no longer counts as work.
            return await abort(context, failure.status())

        return guarded

    def _unary(
        self,
        behaviour: Callable[[Any, Context], Awaitable[Answer]],
        from_string: Parse,
        serialize: Serialize,
        limit: int,
    ) -> Work:
        async def unary(content: bytes, context: Context) -> bytes:
            if len(content) <= INLINE_BYTES:
                return fitting(
                    serialize(await behaviour(_checked(parse(from_string, content)), context))
                )
            with self._room(len(content)):
                request = await self._parsed(from_string, content, limit)
                return fitting(serialize(await behaviour(request, context)))

        return unary

    def _answers(
        self,
        behaviour: Callable[[Any, Context], AsyncGenerator[Answer, None]],
        from_string: Parse,
        serialize: Serialize,
    ) -> Work:
        async def answers(content: bytes, context: Context) -> None:
            request = await self._parsed(from_string, content, MAX_REQUEST_BYTES)
            await _answered(behaviour(request, context), serialize, context)

        return answers

    def _requests(
        self,
        behaviour: Callable[[AsyncIterable[Message], Context], Awaitable[Answer]],
        from_string: Parse,
        serialize: Serialize,
    ) -> Work:
        async def requests(contents: AsyncIterable[bytes], context: Context) -> bytes:
            asked = self._messages(contents, from_string, MAX_MESSAGE_BYTES)
            return fitting(serialize(await behaviour(asked, context)))

        return requests

    def _exchange(
        self,
        behaviour: Callable[[AsyncIterable[Message], Context], AsyncGenerator[Answer, None]],
        from_string: Parse,
        serialize: Serialize,
    ) -> Work:
        async def exchange(contents: AsyncIterable[bytes], context: Context) -> None:
            asked = self._messages(contents, from_string, MAX_REQUEST_BYTES)
            await _answered(behaviour(asked, context), serialize, context)

        return exchange

    async def _messages(
        self, contents: AsyncIterable[bytes], from_string: Parse, limit: int
    ) -> AsyncIterator[Message]:
        async for content in contents:
            yield await self._parsed(from_string, content, limit)

    @contextmanager
    def _room(self, size: int) -> Iterator[None]:
        """Count the bytes of a large request while it is worked on; refuse too many of them."""
        if self._large_bytes + size > MAX_LARGE_BYTES:
            raise Overloaded("too many large requests in flight", retry_seconds=RETRY_SECONDS)
        self._large_bytes += size
        try:
            yield
        finally:
            self._large_bytes -= size

    async def _parsed(self, from_string: Parse, content: bytes, limit: int) -> Message:
        if len(content) <= INLINE_BYTES:
            return _checked(parse(from_string, content))
        check_request_size(content, limit)
        loop = asyncio.get_running_loop()
        return _checked(await loop.run_in_executor(self._parsing, parse, from_string, content))


class _Totals(dict[grpc.StatusCode, Callable[[], None]]):
    """What counts an RPC of one method, by the code that it ended with."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def __missing__(self, code: grpc.StatusCode) -> Callable[[], None]:
        self[code] = count = RPC_TOTAL.labels(self._name, code.name).inc
        return count


def _serializer(serialize: Callable[[Any], bytes]) -> Serialize:
    def serialized(answer: Answer) -> bytes:
        return answer if isinstance(answer, bytes) else serialize(answer)

    return serialized


def _refusing(error: ServiceError) -> Handler:
    """Return a handler that refuses whatever comes, without reading it."""

    async def refuse(_requests: object, context: Context) -> None:
        REFUSED_CALLERS.labels(error.code.name).inc()
        await abort(context, error.status())

    return grpc.stream_stream_rpc_method_handler(refuse)


async def _within(
    allowance: Allowance, work: Work, content: object, context: Context
) -> bytes | None:
    with allowance.place():
        return await work(content, context)


def _checked(request: Message) -> Message:
    allowance = current_caller().allowance
    if allowance is not None:
        allowance.check_batch(request)
    return request


async def _answered(
    messages: AsyncGenerator[Answer, None], serialize: Serialize, context: Context
) -> None:
    """Send the answers from within, so that `messages` is closed whatever ends the RPC.

    gRPC, given the generator, leaves one that a caller gave up to the garbage collector.
    """
    async with aclosing(messages):
        # Were they left to a first write that the deadline ends halfway, gRPC would try to
        # send them again with the status, and fail.
        await _sent(context.send_initial_metadata(()))
        async for message in messages:
            await _sent(context.write(serialize(message)))


@types.coroutine
def _rest(
    running: Coroutine[Any, Any, bytes | None], awaited: object
) -> Generator[Any, None, bytes | None]:
    """Go on with a coroutine that was begun by hand, and that waits for what it yielded."""
    try:
        yield awaited
    except BaseException as error:
        thrown = error
    else:
        rest: Any = running  # Within types.coroutine it may be yielded from.
        return (yield from rest)  # type: ignore[no-any-return]
    try:
        awaited = running.throw(thrown)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]  # of a coroutine
    return (yield from _rest(running, awaited))


async def _sent(sending: Awaitable[None]) -> None:
    try:
        await sending
    except grpc.aio.BaseError as error:
        # The caller is gone, which gRPC may say here before it cancels this task.
        raise asyncio.CancelledError from error


async def abort(context: Context, status: status_pb2.Status) -> NoReturn:
    """End the RPC with a rich status."""
    await _abort(context, rpc_status.to_status(status))


async def _abort(context: Context, rich: grpc.Status) -> NoReturn:
    try:
        await context.abort(rich.code, rich.details, rich.trailing_metadata)
    except grpc.aio.AbortError:
        raise
    except grpc.aio.BaseError as error:
        # The caller is gone: nobody is left to be told.
        raise asyncio.CancelledError from error
