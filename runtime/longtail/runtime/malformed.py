"""Requests that cannot be parsed are the caller's mistake, and are refused as such."""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError
from longtail.runtime.errors import InvalidArgument, Violation

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
Behaviour = Callable[[Any, Context], Awaitable[object]]
Deserializer = Callable[[bytes], object]


@dataclass(frozen=True)
class Malformed:
    """Stands for a request that cannot be parsed, until the place where failures are translated.

    gRPC answers INTERNAL by itself to what its deserializer raises.
    """

    description: str


def forgiving(deserialize: Deserializer) -> Deserializer:
    """Let `deserialize` return Malformed where it raises."""

    def parsed(content: bytes) -> object:
        try:
            return deserialize(content)
        except DecodeError as error:
            return Malformed(f"cannot be parsed ({error})")

    return parsed


def refusing(behaviour: Behaviour) -> Behaviour:
    """Let `behaviour` raise InvalidArgument for a Malformed request."""

    async def refusing(request: object, context: Context) -> object:
        return await behaviour(_well_formed(request), context)

    return refusing


def refusing_stream(behaviour: Behaviour) -> Behaviour:
    """Let the requests of `behaviour` end with InvalidArgument at the first Malformed one."""

    async def well_formed(requests: AsyncIterable[object]) -> AsyncIterator[object]:
        async for request in requests:
            yield _well_formed(request)

    async def refusing(requests: AsyncIterable[object], context: Context) -> object:
        return await behaviour(well_formed(requests), context)

    return refusing


def _well_formed(request: object) -> object:
    if isinstance(request, Malformed):
        raise InvalidArgument(Violation("request", request.description))
    return request
