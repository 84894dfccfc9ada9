"""How an RPC ends with a failure: as a rich status, made beforehand for what is refused often."""

import asyncio
import bisect
from typing import Any, NoReturn, TypeAlias

import grpc
from google.rpc import status_pb2
from grpc_status import rpc_status
from longtail.runtime.errors import Overloaded, ServiceError
from longtail.runtime.telemetry import REFUSED_CALLERS

# grpc's contexts and handlers are generic for the type checker only.
Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"

RETRY_SECONDS = 0.1
_STEPS = (RETRY_SECONDS, 0.25, 0.5, 1.0, 2.0, 5.0)
_OVERLOADED = [
    rpc_status.to_status(
        Overloaded("too many requests to be answered in time", retry_seconds=each).status()
    )
    for each in _STEPS
]


async def abort(context: Context, status: status_pb2.Status) -> NoReturn:
    """End the RPC with a rich status."""
    await _abort(context, rpc_status.to_status(status))


async def abort_overloaded(context: Context, retry_seconds: float) -> NoReturn:
    """End the RPC unread, to come back in so long or a little later."""
    at = bisect.bisect_left(_STEPS, retry_seconds)
    await _abort(context, _OVERLOADED[min(at, len(_STEPS) - 1)])


def refusing(error: ServiceError) -> Handler:
    """Return a handler that refuses whoever comes, without reading anything."""

    async def refuse(_requests: object, context: Context) -> None:
        REFUSED_CALLERS.labels(error.code.name).inc()
        await abort(context, error.status())

    return grpc.stream_stream_rpc_method_handler(refuse)


async def _abort(context: Context, rich: grpc.Status) -> NoReturn:
    try:
        await context.abort(rich.code, rich.details, rich.trailing_metadata)
    except grpc.aio.AbortError:
        raise
    except grpc.aio.BaseError as error:
        # The caller is gone: nobody is left to be told.
        raise asyncio.CancelledError from error
