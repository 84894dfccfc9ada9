"""The four kinds of RPC as work from the bytes that came on the wire to those that go out."""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
)
from contextlib import aclosing, asynccontextmanager
from typing import Any

import grpc
from google.protobuf.message import Message
from longtail.runtime.errors import StreamIdle
from longtail.runtime.intake import INLINE_BYTES, Intake, checked
from longtail.runtime.message_size import MAX_MESSAGE_BYTES, MAX_REQUEST_BYTES, fitting
from longtail.runtime.parsing import Parse, parse
from longtail.runtime.statuses import Context
from longtail.runtime.unread import Unread

# What a service answers: a message, or the bytes of one that a thread has serialized.
Answer = Message | bytes
Serialize = Callable[[Answer], bytes]
# An RPC from what came on the wire to what goes out, None when it has sent its answers itself.
Work = Callable[[Any, Context], Coroutine[Any, Any, bytes | None]]


@asynccontextmanager
async def patience(seconds: float, done: str) -> AsyncIterator[None]:
    """Wait for the other end of an RPC, but not for long; raise StreamIdle."""
    try:
        async with asyncio.timeout(seconds) as limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise StreamIdle(f"nothing was {done} for {seconds:g} s") from None


class Works:
    """Makes the work of a service's methods; the other end may do nothing for `idle_seconds`."""

    def __init__(self, intake: Intake, idle_seconds: float) -> None:
        self._intake = intake
        self._unread = Unread()
        self._idle_seconds = idle_seconds

    def unary(
        self,
        behaviour: Callable[[Any, Context], Awaitable[Answer]],
        from_string: Parse,
        to_string: Serialize,
        limit: int,
    ) -> Work:
        """Return the work of a call whose request has at most `limit` bytes."""
        serialize = _serializer(to_string)

        async def unary(content: bytes, context: Context) -> bytes:
            if len(content) <= INLINE_BYTES:
                answer = await behaviour(checked(parse(from_string, content)), context)
                return self._unread.hold(fitting(serialize(answer)), context)
            with self._intake.room(len(content)):
                request = await self._intake.parsed(from_string, content, limit)
                answer = await behaviour(request, context)
                return self._unread.hold(fitting(serialize(answer)), context)

        return unary

    def answers(
        self,
        behaviour: Callable[[Any, Context], AsyncGenerator[Answer, None]],
        from_string: Parse,
        to_string: Serialize,
    ) -> Work:
        """Return the work of a stream of answers."""
        serialize = _serializer(to_string)

        async def answers(content: bytes, context: Context) -> None:
            request = await self._intake.parsed(from_string, content, MAX_REQUEST_BYTES)
            await self._answered(behaviour(request, context), serialize, context)

        return answers

    def requests(
        self,
        behaviour: Callable[[AsyncIterable[Message], Context], Awaitable[Answer]],
        from_string: Parse,
        to_string: Serialize,
    ) -> Work:
        """Return the work of a stream of requests."""
        serialize = _serializer(to_string)

        async def requests(contents: AsyncIterable[bytes], context: Context) -> bytes:
            asked = self._messages(contents, from_string, MAX_MESSAGE_BYTES)
            return fitting(serialize(await behaviour(asked, context)))

        return requests

    def exchange(
        self,
        behaviour: Callable[[AsyncIterable[Message], Context], AsyncGenerator[Answer, None]],
        from_string: Parse,
        to_string: Serialize,
    ) -> Work:
        """Return the work of a stream of requests and answers."""
        serialize = _serializer(to_string)

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
                async with patience(self._idle_seconds, "sent"):
                    content = await anext(waiting)
            except StopAsyncIteration:
                return
            yield await self._intake.parsed(from_string, content, limit)

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
                async with patience(self._idle_seconds, "read"):
                    await _sent(context.write(content))


def _serializer(to_string: Callable[[Any], bytes]) -> Serialize:
    def serialized(answer: Answer) -> bytes:
        return answer if isinstance(answer, bytes) else to_string(answer)

    return serialized


async def _sent(sending: Awaitable[None]) -> None:
    try:
        await sending
    except grpc.aio.BaseError as error:
        # The caller is gone, which gRPC may say here before it cancels this task.
        raise asyncio.CancelledError from error
