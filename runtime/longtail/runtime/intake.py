"""What was asked, from bytes to a message: bounded before it is parsed, and by the caller's limits.

A large request is parsed in a thread of its own, so that the event loop goes on.
"""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from google.protobuf.message import Message
from longtail.runtime.errors import Overloaded
from longtail.runtime.identity import current_caller
from longtail.runtime.message_size import check_request_size
from longtail.runtime.parsing import Parse, parse
from longtail.runtime.statuses import RETRY_SECONDS

# A request up to this size is parsed on the event loop: a thread would cost as much.
INLINE_BYTES = 64 * 1024
# Of larger requests, all together. Each is held as it came, and parsed takes several times as much.
MAX_LARGE_BYTES = 256 * 2**20


class Intake:
    """Parses the requests of one server."""

    def __init__(self) -> None:
        self._large_bytes = 0
        # Of large requests, one at a time: more threads would only fight for the interpreter.
        self._parsing = ThreadPoolExecutor(1, thread_name_prefix="parsing")

    async def parsed(self, from_string: Parse, content: bytes, limit: int) -> Message:
        """Return the message in `content`, of at most `limit` bytes; raise InvalidArgument."""
        if len(content) <= INLINE_BYTES:
            return checked(parse(from_string, content))
        check_request_size(content, limit)
        loop = asyncio.get_running_loop()
        return checked(await loop.run_in_executor(self._parsing, parse, from_string, content))

    @contextmanager
    def room(self, size: int) -> Iterator[None]:
        """Count the bytes of a large request while it is worked on; refuse too many of them."""
        if self._large_bytes + size > MAX_LARGE_BYTES:
            raise Overloaded("too many large requests in flight", retry_seconds=RETRY_SECONDS)
        self._large_bytes += size
        try:
            yield
        finally:
            self._large_bytes -= size


def checked(request: Message) -> Message:
    """Return the request; raise InvalidArgument when it is more than its caller may send."""
    allowance = current_caller().allowance
    if allowance is not None:
        allowance.check_batch(request)
    return request
