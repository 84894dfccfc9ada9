"""An OTLP receiver that takes whatever traces it is sent, to see what sending them costs."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc

_SERVICE, _METHOD = "opentelemetry.proto.collector.trace.v1.TraceService", "Export"


@contextmanager
def receiver() -> Iterator[str]:
    """Run the receiver in this process; give its URL."""

    def take(_spans: bytes, _context: grpc.ServicerContext) -> bytes:
        return b""

    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(take)
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(_SERVICE, {_METHOD: handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
