"""Large answers that wait for their callers to read them: bounded, for each caller and in all.

gRPC holds the answer to a call until it is read, and does not say how long it may be left.
"""

from collections import Counter

from longtail.runtime.errors import Overloaded
from longtail.runtime.identity import current_caller
from longtail.runtime.statuses import RETRY_SECONDS, Context

# Smaller ones are bounded by the streams of a connection.
LARGE_BYTES = 64 * 1024
MAX_BYTES, MAX_CALLER_BYTES = 256 * 2**20, 128 * 2**20


class Unread:
    """Counts the bytes of the large answers of one server until their calls end."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()

    def hold(self, answer: bytes, context: Context) -> bytes:
        """Return the answer; raise Overloaded when its caller leaves too much unread."""
        size = len(answer)
        if size <= LARGE_BYTES:
            return answer
        caller = current_caller().name
        held, total = self._held[caller] + size, self._held.total() + size
        if held > MAX_CALLER_BYTES or total > MAX_BYTES:
            raise Overloaded("too many answers wait to be read", retry_seconds=RETRY_SECONDS)
        self._held[caller] = held

        def read(_: Context) -> None:
            self._held[caller] -= size
            if not self._held[caller]:
                del self._held[caller]

        # To its types a callback is of a class of grpc's.
        context.add_done_callback(read)  # type: ignore[arg-type]
        return answer
