"""The one place where failures become gRPC statuses, and where every RPC gets its bounds.

Who calls is found first, and told nothing without a key where keys exist. Each RPC is counted,
timed, refused before it is read when it would not be answered in time, and ended at the caller's
deadline or, when the caller gave none, at ours. Calls, streams, administration and health have
places of their own, so that none of them keeps the others out. What is asked is parsed here: a
large request in a thread of its own, so that the event loop goes on.
"""

import asyncio
import bisect
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
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any, ClassVar, NoReturn, TypeAlias
from weakref import WeakSet

import grpc
from google.protobuf.message import Message
from google.rpc import status_pb2
from grpc_status import rpc_status
from longtail.runtime import health
from longtail.runtime.admission import Places, Turns, places_of_calls, set_turn
from longtail.runtime.deadline import remaining_seconds, set_deadline
from longtail.runtime.errors import (
    DeadlineExceeded,
    InvalidArgument,
    Overloaded,
    ServiceError,
    StreamIdle,
    Violation,
)
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
# Of streams, a caller has at most this part of the places.
STREAM_SHARE = 0.25
# Calls at a time of those who look after a server, and of those who ask whether it serves, which
# watch for as long as they like.
ADMINISTRATION_PLACES, HEALTH_PLACES, HEALTH_PLACES_PER_CALLER = 32, 1000, 100
# A request up to this size is parsed on the event loop: a thread would cost as much.
INLINE_BYTES = 64 * 1024
# Of larger requests, all together. Each is held as it came, and parsed takes several times as much.
MAX_LARGE_BYTES = 256 * 2**20

OK, CANCELLED = grpc.StatusCode.OK, grpc.StatusCode.CANCELLED


class InternalError(ServiceError):
    """Something that should not happen."""

    code = grpc.StatusCode.INTERNAL
    reason = "INTERNAL"


class ServiceInterceptor(grpc.aio.ServerInterceptor):
    """Identifies, bounds, counts and translates every RPC.

    Requests have up to MAX_REQUEST_BYTES; those of the methods `batches`, such as
    `ItemService/BatchUpsertItems`, and those of streams up to MAX_MESSAGE_BYTES. The services
    `administration`, such as `AdminService`, have places of their own. A stream ends when nothing
    is sent, or nothing read, for `idle_seconds`, a call when its request does not come. Without
    `keys` everybody may do all.
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
    ) -> None:
        self._unary_seconds = unary_seconds
        self._stream_seconds = stream_seconds
        self._idle_seconds = idle_seconds
        self._batches = batches
        self._keys = keys
        self._turns = Turns()
        self._calls = places_of_calls(max_in_flight)
        self._streams = Places(max_streams, math.ceil(STREAM_SHARE * max_streams))
        self._administrators = Places(ADMINISTRATION_PLACES, ADMINISTRATION_PLACES)
        self._health = Places(HEALTH_PLACES, HEALTH_PLACES_PER_CALLER)
        self._administration = administration
        self._large_bytes = 0
        self._every.add(self)
        self._refusals = _Refusals()
        # Of large requests, one at a time: more threads would only fight for the interpreter.
        self._parsing = ThreadPoolExecutor(1, thread_name_prefix="parsing")
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
            if places := self._apart(method, name):
                guarded = self._guard(name, unary, self._unary_seconds, places)
                return grpc.unary_unary_rpc_method_handler(guarded)
            # As a stream to gRPC, so that what is refused is not read.
            return grpc.stream_unary_rpc_method_handler(self._call(name, unary))
        if handler.unary_stream is not None:
            answers = self._answers(ours.unary_stream, ours.request_deserializer, serialize)
            # A watch of health ends when the watcher says so.
            limit_seconds = math.inf if method.startswith(HEALTH) else self._stream_seconds
            places = self._apart(method, name) or self._streams
            guarded = self._guard(name, answers, limit_seconds, places)
            return grpc.unary_stream_rpc_method_handler(guarded)
        if handler.stream_unary is not None:
            requests = self._requests(ours.stream_unary, ours.request_deserializer, serialize)
            guarded = self._guard(name, requests, self._stream_seconds, self._streams)
            return grpc.stream_unary_rpc_method_handler(guarded)
        exchange = self._exchange(ours.stream_stream, ours.request_deserializer, serialize)
        guarded = self._guard(name, exchange, self._stream_seconds, self._streams)
        return grpc.stream_stream_rpc_method_handler(guarded)

    def _apart(self, method: str, name: str) -> Places | None:
        """Return the places of methods that never wait for those of others."""
        if method.startswith(HEALTH):
            return self._health
        service = name.partition("/")[0]
        return self._administrators if service in self._administration else None

    def _call(self, name: str, work: Work) -> Any:  # noqa: ANN401 (for grpc)
        """Take what can be answered in time, and refuse the rest at the least cost."""
        observe = RPC_SECONDS.labels(name).observe
        refused = RPC_TOTAL.labels(name, Overloaded.code.name).inc
        guarded = self._guard(name, work, self._unary_seconds, self._calls, self._turns)

        async def call(_: object, context: Context) -> bytes | None:
            remaining, caller = context.time_remaining(), caller_at(context.peer)
            seconds = self._unary_seconds if remaining is None else remaining
            retry_seconds = self._turns.refusal(name, caller.name, seconds)
            if retry_seconds is not None:
                refused()
                observe(0.0)
                return await _abort(context, self._refusals.of(retry_seconds))
            try:
                # It has no place yet, and whoever gave no deadline could keep it for ever.
                async with self._patience("sent"):
                    content = await context.read()
            except StreamIdle as error:
                await abort(context, error.status())
            if content is grpc.aio.EOF:
                await abort(context, InvalidArgument(Violation("request", "is missing")).status())
            return await guarded(content, context)  # type: ignore[no-any-return]

        return call

    def _guard(
        self,
        name: str,
        work: Work,
        limit_seconds: float,
        places: Places,
        turns: Turns | None = None,
    ) -> Any:  # noqa: ANN401 (for grpc)
        observe = RPC_SECONDS.labels(name).observe
        totals = _Totals(name)
        again = f"{name} again"

        async def guarded(content: object, context: Context) -> bytes | None:
            caller = caller_at(context.peer)
            if not places.take(caller.name):
                totals[Overloaded.code]()
                observe(0.0)
                return await _abort(context, self._refusals.of(RETRY_SECONDS))
            started = time.perf_counter()
            code = OK
            try:
                remaining = context.time_remaining()
                seconds = limit_seconds if remaining is None else min(remaining, limit_seconds)
                set_deadline(seconds)
                if turns is not None:
                    if turn := turns.enter(name, caller.name):
                        await turn
                        seconds = remaining_seconds()
                        if not turns.worth(name, seconds):
                            raise DeadlineExceeded("the deadline would pass before the answer")
                    set_turn(turns, again, caller.name)
                allowance = caller.allowance
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
                places.leave(caller.name)
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
            await self._answered(behaviour(request, context), serialize, context)

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
            await self._answered(behaviour(asked, context), serialize, context)

        return exchange

    async def _messages(
        self, contents: AsyncIterable[bytes], from_string: Parse, limit: int
    ) -> AsyncIterator[Message]:
        waiting = aiter(contents)
        while True:
            try:
                async with self._patience("sent"):
                    content = await anext(waiting)
            except StopAsyncIteration:
                return
            yield await self._parsed(from_string, content, limit)

    async def _answered(
        self, messages: AsyncGenerator[Answer, None], serialize: Serialize, context: Context
    ) -> None:
        """Send the answers from within, so that `messages` is closed whatever ends the RPC.

        gRPC, given the generator, leaves one that a caller gave up to the garbage collector.
        """
        async with aclosing(messages):
            # Were they left to a first write that the deadline ends halfway, gRPC would try to
            # send them again with the status, and fail.
            await _sent(context.send_initial_metadata(()))
            async for message in messages:
                content = serialize(message)
                async with self._patience("read"):
                    await _sent(context.write(content))

    @asynccontextmanager
    async def _patience(self, done: str) -> AsyncIterator[None]:
        """Wait for the other end of a stream, but not for long; raise StreamIdle."""
        try:
            async with asyncio.timeout(self._idle_seconds) as limit:
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            raise StreamIdle(f"nothing was {done} for {self._idle_seconds:g} s") from None

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


RPC_IN_FLIGHT.set_function(ServiceInterceptor.in_flight)


class _Refusals:
    """The statuses of refusals, made once for each of a few times to come back after."""

    _STEPS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0)

    def __init__(self) -> None:
        self._made = [
            rpc_status.to_status(
                Overloaded("too many requests to be answered in time", retry_seconds=each).status()
            )
            for each in self._STEPS
        ]

    def of(self, retry_seconds: float) -> grpc.Status:
        """Return the status that says to come back in so long, or a little later."""
        at = bisect.bisect_left(self._STEPS, retry_seconds)
        return self._made[min(at, len(self._made) - 1)]


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
