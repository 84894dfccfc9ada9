"""The one place where failures become gRPC statuses, and where every RPC gets its bounds.

Each RPC is counted, timed, refused before it is read when it would not be answered in time, and
ended at the caller's deadline or, when the caller gave none, at ours.
"""

import asyncio
import logging
import time
import types
from collections.abc import Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from longtail.runtime.admission import Places, Turns, set_turn
from longtail.runtime.deadline import remaining_seconds, set_deadline
from longtail.runtime.errors import (
    DeadlineExceeded,
    InvalidArgument,
    Overloaded,
    ServiceError,
    StreamIdle,
    Violation,
)
from longtail.runtime.identity import Allowance, caller_at
from longtail.runtime.request_id import request_id, set_call
from longtail.runtime.statuses import RETRY_SECONDS, Context, abort, abort_overloaded
from longtail.runtime.telemetry import RPC_SECONDS, RPC_TOTAL
from longtail.runtime.tracing import Tracer, set_trace
from longtail.runtime.work import Work, patience

logger = logging.getLogger(__name__)

PACKAGE = "longtail.v1."
OK, CANCELLED = grpc.StatusCode.OK, grpc.StatusCode.CANCELLED


class InternalError(ServiceError):
    """Something that should not happen."""

    code = grpc.StatusCode.INTERNAL
    reason = "INTERNAL"

    def __init__(self, request_id: str) -> None:
        # What went wrong inside is for the log, not for the caller.
        super().__init__(f"internal error, request_id={request_id}")
        self._request_id = request_id

    def details(self) -> Sequence[Message]:
        """Return by which id the log tells of it."""
        return (error_details_pb2.RequestInfo(request_id=self._request_id),)


@dataclass(frozen=True)
class Bounds:
    """What the RPCs of a method have: `seconds` at most, and places."""

    seconds: float
    places: Places


def admitted(
    name: str,
    work: Work,
    bounds: Bounds,
    turns: Turns,
    idle_seconds: float,
    tracer: Tracer | None = None,
) -> Work:
    """Take of a method's calls what can be answered in time, and refuse the rest unread."""
    observe = RPC_SECONDS.labels(name).observe
    refused = RPC_TOTAL.labels(name, Overloaded.code.name).inc
    answered = guarded(name, work, bounds, turns, tracer)

    async def call(_: object, context: Context) -> bytes | None:
        remaining, caller = context.time_remaining(), caller_at(context.peer)
        seconds = bounds.seconds if remaining is None else remaining
        retry_seconds = turns.refusal(name, caller.name, seconds)
        if retry_seconds is not None:
            refused()
            observe(0.0)
            return await abort_overloaded(context, retry_seconds)
        return await answered(await _request(context, idle_seconds), context)

    return call


def received(work: Work, idle_seconds: float) -> Work:
    """Wait for the one request of an RPC, and not for ever."""

    async def call(_: object, context: Context) -> bytes | None:
        return await work(await _request(context, idle_seconds), context)

    return call


async def _request(context: Context, idle_seconds: float) -> object:
    try:
        # It has no place yet, and whoever gave no deadline could keep it for ever.
        async with patience(idle_seconds, "sent"):
            content: object = await context.read()
    except StreamIdle as error:
        await abort(context, error.status())
    if content is grpc.aio.EOF:
        await abort(context, InvalidArgument(Violation("request", "is missing")).status())
    return content


def guarded(
    name: str,
    work: Work,
    bounds: Bounds,
    turns: Turns | None = None,
    tracer: Tracer | None = None,
) -> Work:
    """Bound, count, trace and translate the RPCs of a method, which take `turns` where they wait.

    Without a `tracer` they have no traces.
    """
    limit_seconds, places = bounds.seconds, bounds.places
    observe = RPC_SECONDS.labels(name).observe
    totals = _Totals(name)
    again, method = f"{name} again", f"{PACKAGE}{name}"

    async def guarded(content: object, context: Context) -> bytes | None:
        caller = caller_at(context.peer)
        if not places.take(caller.name):
            totals[Overloaded.code]()
            observe(0.0)
            return await abort_overloaded(context, RETRY_SECONDS)
        started = time.perf_counter()
        code = OK
        set_call(context)
        trace = None
        if tracer is not None:
            trace = tracer.begin(method, context.invocation_metadata() or ())
            set_trace(trace)
        try:
            remaining = context.time_remaining()
            seconds = limit_seconds if remaining is None else min(remaining, limit_seconds)
            set_deadline(seconds)
            if turns is not None:
                if turn := turns.enter(name, caller.name):
                    await turn
                    if trace is not None:
                        trace.note("admission", started, time.perf_counter())
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
                rest = _rest(running, running.send(None))
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]  # of a coroutine
            async with asyncio.timeout(seconds):
                return await rest
        except ServiceError as error:
            code, status = error.code, error.status()
        except TimeoutError:
            late = DeadlineExceeded("the deadline passed before the answer was ready")
            code, status = late.code, late.status()
        except asyncio.CancelledError:
            code = CANCELLED
            raise
        except Exception:
            logger.exception("unexpected failure method=%s", name)
            code, status = InternalError.code, InternalError(request_id()).status()
        finally:
            places.leave(caller.name)
            totals[code]()
            taken = time.perf_counter() - started
            if logger.isEnabledFor(logging.DEBUG):
                told = (name, code.name, taken, caller.name)
                logger.debug("answered method=%s code=%s seconds=%.6f caller=%s", *told)
            if trace is None:
                observe(taken)
            else:
                observe(taken, trace.context.exemplar)
                trace.end(code.name)
        # gRPC keeps the error that ends an RPC, and with it this frame, in a cycle that Python's
        # collector comes by late. The request would be in it.
        del content
        # A caller that has stopped reading keeps this waiting; it no longer counts as work.
        return await abort(context, status)

    return guarded


class _Totals(dict[grpc.StatusCode, Callable[[], None]]):
    """What counts an RPC of one method, by the code that it ended with."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def __missing__(self, code: grpc.StatusCode) -> Callable[[], None]:
        self[code] = count = RPC_TOTAL.labels(self._name, code.name).inc
        return count


async def _within(
    allowance: Allowance, work: Work, content: object, context: Context
) -> bytes | None:
    with allowance.place():
        return await work(content, context)


@types.coroutine
def _rest(
    running: Coroutine[Any, Any, bytes | None], awaited: object
) -> Generator[Any, None, bytes | None]:
    """Go on with a coroutine that was begun by hand, and that waits for what it yielded."""
    try:
        yield awaited
    except BaseException as error:
        # What failed keeps its error, which keeps this frame and, with it, the request.
        del awaited
        try:
            awaited = running.throw(error)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]  # of a coroutine
    else:
        rest: Any = running  # Within types.coroutine it may be yielded from.
        return (yield from rest)  # type: ignore[no-any-return]
    return (yield from _rest(running, awaited))
