"""Sends the spans of calls to an OTLP receiver, over gRPC, from a thread of its own.

The messages are made here and not by OpenTelemetry's SDK, whose objects take six times as long.
"""

import logging
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

import grpc
from longtail.runtime.receiver import Receiver
from longtail.runtime.telemetry import TRACES_LOST
from longtail.runtime.tracing import Kind, Span, Spans, new_trace_id
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2

logger = logging.getLogger(__name__)

# How often what has come together is sent, and what is sent at once and waits, in calls.
SECONDS = 1.0
BATCH, MOST_WAITING = 500, 10_000
SEND_SECONDS = 3.0
# As of the connections to workers: a proxy of the environment's is for what lies outside.
_CHANNEL_OPTIONS = [("grpc.enable_http_proxy", 0)]
# Those after which the same may be sent again, by OTLP.
_PASSING = {
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
}
_KINDS = {
    Kind.INTERNAL: trace_pb2.Span.SPAN_KIND_INTERNAL,
    Kind.SERVER: trace_pb2.Span.SPAN_KIND_SERVER,
    Kind.CLIENT: trace_pb2.Span.SPAN_KIND_CLIENT,
}
# The bits of a span's flags: that it is sampled, and that whether its parent is remote is known.
_SAMPLED, _KNOWN, _REMOTE = 0x001, 0x100, 0x200


class SpanExport:
    """Sends spans through `channel`, as those of a process of `service`.

    While the receiver is away they wait, MOST_WAITING calls of them; more are lost, and counted.
    """

    def __init__(self, channel: grpc.Channel, service: str) -> None:
        self._stub = TraceServiceStub(channel)
        self._resource = Resource(
            attributes=_attributes(
                {
                    "service.name": service,
                    "service.namespace": "longtail",
                    "service.instance.id": new_trace_id(),
                    "host.name": socket.gethostname(),
                    "process.pid": os.getpid(),
                }
            )
        )
        self._waiting: deque[Spans] = deque()
        self._failure: grpc.StatusCode | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        self._thread.start()

    def send(self, spans: Spans) -> None:
        """Have spans sent soon. From any thread."""
        if len(self._waiting) >= MOST_WAITING:
            TRACES_LOST.labels("full").inc()
        else:
            self._waiting.append(spans)

    def close(self) -> None:
        """Send what waits, if the receiver takes it, and end."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(SECONDS):
            self._send_waiting()
        self._send_waiting()
        TRACES_LOST.labels("ended").inc(len(self._waiting))

    def _send_waiting(self) -> None:
        """Send what waits, until the receiver is away."""
        while count := min(len(self._waiting), BATCH):
            traces = [self._waiting.popleft() for _ in range(count)]
            code = self._taken(self._message(traces))
            if code in _PASSING:
                self._waiting.extendleft(reversed(traces))
                return
            if code is not grpc.StatusCode.OK:
                TRACES_LOST.labels("refused").inc(count)

    def _taken(self, message: ExportTraceServiceRequest) -> grpc.StatusCode:
        """Return what the receiver says; the log is told when that is not what it said before."""
        code: grpc.StatusCode = grpc.StatusCode.OK
        details: str | None = None
        try:
            self._stub.Export(message, timeout=SEND_SECONDS)
        except grpc.RpcError as error:
            code, details = error.code(), error.details()
        failure = None if code is grpc.StatusCode.OK else code
        if failure is not self._failure:
            if failure is None:
                logger.info("traces sent again")
            else:
                logger.warning("traces not sent code=%s error=%s", failure.name, details)
        self._failure = failure
        return code

    def _message(self, traces: Sequence[Spans]) -> ExportTraceServiceRequest:
        message = ExportTraceServiceRequest()
        of_process = message.resource_spans.add(resource=self._resource)
        of_scope = of_process.scope_spans.add()
        of_scope.scope.name = "longtail"
        # From the moments of our clock to those since the epoch.
        zero = time.time_ns() - time.perf_counter_ns()
        for trace in traces:
            trace_id = bytes.fromhex(trace.trace_id)
            for span in trace.spans:
                of_scope.spans.append(_span(span, trace_id, trace.state, zero))
        return message


def connected(receiver: Receiver, authorities: str) -> grpc.Channel:
    """Return a channel to a receiver; raise OSError where the file `authorities` is of no use."""
    if not receiver.secure:
        return grpc.insecure_channel(receiver.target, _CHANNEL_OPTIONS)
    roots = Path(authorities).read_bytes() if authorities else None
    return grpc.secure_channel(
        receiver.target, grpc.ssl_channel_credentials(roots), _CHANNEL_OPTIONS
    )


def _span(span: Span, trace_id: bytes, state: str, zero: int) -> trace_pb2.Span:
    remote = _KNOWN if span.kind is not Kind.SERVER else _KNOWN | _REMOTE
    made = trace_pb2.Span(
        trace_id=trace_id,
        span_id=bytes.fromhex(span.span_id) if span.span_id else os.urandom(8),
        parent_span_id=bytes.fromhex(span.parent_id),
        trace_state=state,
        flags=_SAMPLED | remote,
        name=span.name,
        kind=_KINDS[span.kind],
        start_time_unix_nano=zero + round(span.started * 1e9),
        end_time_unix_nano=zero + round(span.ended * 1e9),
        attributes=_attributes(span.attributes) if span.attributes else None,
    )
    for link in span.links:
        ids = {"trace_id": bytes.fromhex(link.trace_id), "span_id": bytes.fromhex(link.span_id)}
        made.links.add(**ids, flags=_SAMPLED | _KNOWN)
    if span.failed:
        made.status.code = trace_pb2.Status.STATUS_CODE_ERROR
    return made


def _attributes(values: Mapping[str, str | int]) -> list[KeyValue]:
    return [
        KeyValue(
            key=name,
            value=AnyValue(string_value=value)
            if isinstance(value, str)
            else AnyValue(int_value=value),
        )
        for name, value in values.items()
    ]
