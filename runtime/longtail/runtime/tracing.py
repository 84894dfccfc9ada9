"""Traces: what a call did, and when, noted after each stage from moments that are taken anyway.

A moment is in seconds of `time.perf_counter`, on Linux the clock of `time.monotonic` too. Contexts
travel as W3C Trace Context says (https://www.w3.org/TR/trace-context/). A call that is not traced
has no trace, and costs nothing.
"""

import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
# Of one trace: an import may go on for an hour.
MOST_SPANS = 500
# What callers add to a trace is passed on up to the length that everybody has to take.
MOST_STATE_CHARACTERS = 512

# Version, trace, parent, flags, and what a later version may add.
_TRACEPARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)
_SAMPLED = 1
_NOTHING: Mapping[str, str | int] = MappingProxyType({})
# Of a server, by OpenTelemetry's conventions; other codes tell of the caller.
_FAULTS = frozenset(
    ("UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS")
)


class SpanContext(NamedTuple):
    """What a span is known by elsewhere; 32 and 16 hexadecimal digits."""

    trace_id: str
    span_id: str

    @property
    def exemplar(self) -> dict[str, str]:
        """What stands beside a metric that it counted in."""
        return {"trace_id": self.trace_id}


class Kind(Enum):
    """What a span is of: a stage, a call that came, or a call to another process."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"


class Span(NamedTuple):
    """A span of a trace. `parent_id` and, while it matters to nobody, `span_id` may be empty."""

    name: str
    started: float
    ended: float
    parent_id: str
    span_id: str = ""
    kind: Kind = Kind.INTERNAL
    attributes: Mapping[str, str | int] = _NOTHING
    links: Sequence[SpanContext] = ()
    failed: bool = False


class Spans(NamedTuple):
    """Spans of one trace, with what its callers added to it."""

    trace_id: str
    state: str
    spans: Sequence[Span]


Send = Callable[[Spans], None]


class Trace:
    """The trace of one call to `method`, as far as this process sees it.

    What is noted after its end, by work that goes on without the call, is sent by itself.
    """

    __slots__ = (
        "_missed",
        "_noted",
        "_parent_id",
        "_send",
        "context",
        "method",
        "started",
        "state",
    )

    def __init__(
        self, method: str, context: SpanContext, parent_id: str, state: str, send: Send
    ) -> None:
        self.method, self.context, self.state = method, context, state
        self.started = time.perf_counter()
        self._parent_id, self._send = parent_id, send
        self._noted: list[Span] | None = []
        self._missed = 0

    def note(
        self,
        name: str,
        started: float,
        ended: float,
        *,
        attributes: Mapping[str, str | int] = _NOTHING,
        links: Sequence[SpanContext] = (),
    ) -> None:
        """Note a stage of the call. From any thread."""
        parent_id = self.context.span_id
        self._add(Span(name, started, ended, parent_id, attributes=attributes, links=links))

    def note_call(self, method: str, address: str, span_id: str, started: float, code: str) -> None:
        """Note a call to another process, which ended now and was told `span_id`."""
        attributes = {**_rpc(method, code), "server.address": address}
        failed = code != "OK"
        parent_id, ended = self.context.span_id, time.perf_counter()
        self._add(
            Span(method, started, ended, parent_id, span_id, Kind.CLIENT, attributes, failed=failed)
        )

    def metadata(self, span_id: str) -> tuple[tuple[str, str], ...]:
        """Return what tells another process that it works for the span `span_id` of this trace."""
        parent = (TRACEPARENT, f"00-{self.context.trace_id}-{span_id}-01")
        return (parent, (TRACESTATE, self.state)) if self.state else (parent,)

    def end(self, code: str) -> None:
        """Send what was noted; the call ends now, with the status `code`."""
        spans, self._noted = self._noted or [], None
        attributes: dict[str, str | int] = _rpc(self.method, code)
        if self._missed:
            attributes["longtail.spans_left_out"] = self._missed
        spans.append(
            Span(
                self.method,
                self.started,
                time.perf_counter(),
                self._parent_id,
                self.context.span_id,
                Kind.SERVER,
                attributes,
                failed=code in _FAULTS,
            )
        )
        self._send(Spans(self.context.trace_id, self.state, spans))

    def _add(self, span: Span) -> None:
        noted = self._noted
        if noted is None:
            self._send(Spans(self.context.trace_id, self.state, [span]))
        elif len(noted) < MOST_SPANS:
            noted.append(span)
        else:
            self._missed += 1


class Tracer:
    """Decides which calls are traced: as their callers say, and `ratio` of those who say nothing.

    What is to be sent is given to `send`, from any thread.
    """

    def __init__(self, send: Send, ratio: float) -> None:
        self._send = send
        self._bound = round(ratio * 2**64)

    def begin(self, method: str, metadata: Iterable[tuple[str, str | bytes]]) -> Trace | None:
        """Return the trace of a call that comes with `metadata`, None when it is not traced."""
        parent, states = "", []
        for key, value in metadata:
            if key == TRACEPARENT:
                parent = str(value)
            elif key == TRACESTATE:
                states.append(str(value))
        told = _TRACEPARENT.fullmatch(parent)
        if told is None or (told[1] == "00" and told[5]):
            trace_id = new_trace_id()
            # As OpenTelemetry's sampler TraceIdRatioBased does.
            if int(trace_id[16:], 16) >= self._bound:
                return None
            return Trace(method, SpanContext(trace_id, new_span_id()), "", "", self._send)
        if not int(told[4], 16) & _SAMPLED:
            return None
        state = ",".join(states)
        if len(state) > MOST_STATE_CHARACTERS:
            state = ""
        return Trace(method, SpanContext(told[2], new_span_id()), told[3], state, self._send)

    def note_batch(
        self,
        name: str,
        started: float,
        ended: float,
        *,
        attributes: Mapping[str, str | int],
        links: Sequence[SpanContext],
    ) -> SpanContext:
        """Send the span of work that was done for several calls at once; return its context."""
        context = SpanContext(new_trace_id(), new_span_id())
        span = Span(name, started, ended, "", context.span_id, Kind.INTERNAL, attributes, links)
        self._send(Spans(context.trace_id, "", [span]))
        return context


def new_trace_id() -> str:
    """Return a new id of a trace."""
    return os.urandom(16).hex()


def new_span_id() -> str:
    """Return a new id of a span."""
    return os.urandom(8).hex()


_trace: ContextVar[Trace | None] = ContextVar("trace", default=None)


def set_trace(trace: Trace | None) -> None:
    """Say which trace this task works for."""
    _trace.set(trace)


def current_trace() -> Trace | None:
    """Return the trace of the call that is worked on, None where it is not traced."""
    return _trace.get()


def _rpc(method: str, code: str) -> dict[str, str | int]:
    # By OpenTelemetry's semantic conventions for RPC.
    return {"rpc.system.name": "grpc", "rpc.method": method, "rpc.response.status_code": code}
