"""What tells a call with a `request_id` from any other."""

import hashlib
from collections.abc import Iterator
from typing import TypeVar

from google.protobuf.message import Message
from longtail.server.rpc.read.fields import check_id
from longtail.server.write.idempotency import RepeatableCall

M = TypeVar("M", bound=Message)


def repeatable_call(request: Message, reply: type[M]) -> RepeatableCall[M] | None:
    """Return what tells `request` from any other; None when it has no `request_id`.

    Raises InvalidArgument when the id is none.
    """
    request_id: str = request.request_id  # type: ignore[attr-defined]  # those that have one
    if not request_id:
        return None
    check_id("request_id", request_id)
    digest = hashlib.sha256()
    for piece in _pieces(request):
        digest.update(piece.SerializeToString(deterministic=True))
    return RepeatableCall(
        request_id,
        request.DESCRIPTOR.name,
        digest.digest(),
        reply.SerializeToString,
        reply.FromString,
    )


def _pieces(request: Message) -> Iterator[Message]:
    """Yield messages that together are `request` without its id.

    Protobuf keeps the interpreter while it serializes, which a batch may take long.
    """
    for field, value in request.ListFields():
        if field.is_repeated and field.message_type is not None:
            for element in value:
                yield type(request)(**{field.name: [element]})
        elif field.name != "request_id":
            yield type(request)(**{field.name: value})
