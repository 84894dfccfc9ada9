"""What fits into the answer to a batch."""

from longtail.runtime.errors import AnswerTooLarge
from longtail.runtime.message_size import MAX_MESSAGE_BYTES

# Kept for what is said about requests that have no list in the answer.
STATUS_BYTES = 2**20


class AnswerRoom:
    """The bytes that are left of one answer. For one event loop."""

    def __init__(self) -> None:
        self._left = MAX_MESSAGE_BYTES - STATUS_BYTES

    def take(self, size: int) -> None:
        """Take the room of a list of `size` bytes; raise AnswerTooLarge when it is not there."""
        if size > self._left:
            raise AnswerTooLarge(
                f"the list has {size} bytes, and {self._left} are left beside the others of its "
                "batch; ask for it in another call, or without include_items"
            )
        self._left -= size
