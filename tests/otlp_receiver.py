"""A real OTLP receiver of traces, over gRPC, for tests to look at what it got."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.certificates import Certified

PATIENCE_SECONDS = 60.0
Attributes = dict[str, str | int]


class OtlpReceiver(TraceServiceServicer):
    """Keeps the spans that it is sent, with the attributes of whoever sent them.

    While `failure` is set, that is what it answers.
    """

    def __init__(self) -> None:
        self.address = ""
        self.failure: grpc.StatusCode | None = None
        self.calls = 0
        self._spans: list[tuple[Attributes, Span]] = []
        self._news = threading.Condition()

    def Export(  # noqa: N802
        self, request: ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> ExportTraceServiceResponse:
        with self._news:
            self.calls += 1
            self._news.notify_all()
            if self.failure is None:
                for of_process in request.resource_spans:
                    process = values(of_process.resource.attributes)
                    for of_scope in of_process.scope_spans:
                        self._spans += [(process, span) for span in of_scope.spans]
        if self.failure is not None:
            context.abort(self.failure, "as the test wants it")
        return ExportTraceServiceResponse()

    def wait(self, holds: Callable[[Sequence[Span]], bool]) -> list[Span]:
        """Return the spans once they are as a test waits for."""
        with self._news:
            got = self._news.wait_for(lambda: holds(self.spans()), PATIENCE_SECONDS)
            spans = self.spans()
        assert got, [(span.name, values(span.attributes)) for span in spans]
        return spans

    def wait_for_calls(self, count: int) -> None:
        """Return once it was called so often."""
        with self._news:
            assert self._news.wait_for(lambda: self.calls >= count, PATIENCE_SECONDS)

    def spans(self) -> list[Span]:
        """Return what came so far."""
        return [span for _, span in self._spans]

    def process_of(self, span: Span) -> Attributes:
        """Return what is known of the process that sent a span."""
        return next(process for process, each in self._spans if each == span)


@contextmanager
def otlp_receiver(certified: Certified | None = None) -> Iterator[OtlpReceiver]:
    """Run a receiver for the block; with a certificate it speaks TLS."""
    receiver = OtlpReceiver()
    server = grpc.server(ThreadPoolExecutor(4))
    add_TraceServiceServicer_to_server(receiver, server)
    if certified is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        pair = certified.private_key.read_bytes(), certified.certificate.read_bytes()
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    receiver.address = f"127.0.0.1:{port}"
    server.start()
    try:
        yield receiver
    finally:
        server.stop(None).wait()


def values(attributes: Sequence[KeyValue]) -> Attributes:
    """Return attributes by name."""
    return {
        each.key: each.value.string_value
        if each.value.HasField("string_value")
        else each.value.int_value
        for each in attributes
    }
