"""How large a message may be: one that is larger is refused where one can say why."""

from collections.abc import Iterable

from google.protobuf.message import Message
from longtail.runtime.errors import AnswerTooLarge, InvalidArgument, Violation

# What gRPC takes at all, of a compressed message when it is expanded. Of requests, only those that
# carry batches of content may be so large.
MAX_MESSAGE_BYTES = 16 * 2**20
MAX_REQUEST_BYTES = 4 * 2**20


def check_request_size(content: bytes, limit: int) -> None:
    """Refuse a request of more than `limit` bytes before it is parsed."""
    if len(content) > limit:
        raise InvalidArgument(Violation("request", f"has {len(content)} bytes, over {limit}"))


def fitting(content: bytes) -> bytes:
    """Return an answer as it is sent; raise AnswerTooLarge when it does not fit into a message.

    gRPC would send it whole, for the client to fail by itself when it has taken MAX_MESSAGE_BYTES.
    """
    if len(content) > MAX_MESSAGE_BYTES:
        raise _too_large(f"{len(content)} bytes")
    return content


def serialized(pieces: Iterable[Message]) -> bytes:
    """Return the answer that all of `pieces`, messages of its type, are together, as it is sent.

    Protobuf keeps the interpreter while it serializes, here for a piece at a time only. Raises
    AnswerTooLarge as soon as the pieces do not fit into a message.
    """
    contents: list[bytes] = []
    size = 0
    for piece in pieces:
        content = piece.SerializeToString()
        size += len(content)
        if size > MAX_MESSAGE_BYTES:
            raise _too_large("too many bytes")
        contents.append(content)
    return b"".join(contents)


def _too_large(size: str) -> AnswerTooLarge:
    return AnswerTooLarge(
        f"the answer has {size}, over {MAX_MESSAGE_BYTES}; "
        "ask for less at a time, or for less of each"
    )
