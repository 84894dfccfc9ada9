"""How large a message may be: an answer that is larger is refused where one can say why."""

from collections.abc import Callable

from longtail.runtime.errors import AnswerTooLarge
from longtail.runtime.malformed import Behaviour, Context

MAX_MESSAGE_BYTES = 16 * 2**20

Serializer = Callable[[object], bytes]


def fitting(behaviour: Behaviour, serialize: Serializer) -> Behaviour:
    """Let `behaviour` return its answer as bytes, or raise AnswerTooLarge.

    gRPC would send it whole, for the client to fail by itself when it has taken MAX_MESSAGE_BYTES.
    """

    async def fitting(request: object, context: Context) -> object:
        content = serialize(await behaviour(request, context))
        if len(content) > MAX_MESSAGE_BYTES:
            raise AnswerTooLarge(
                f"the answer has {len(content)} bytes, over {MAX_MESSAGE_BYTES}; "
                "ask for less at a time, or for less of each"
            )
        return content

    return fitting
