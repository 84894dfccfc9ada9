"""Server reflection under both of its names: tools ask for v1, older ones for v1alpha."""

from collections.abc import Sequence

import grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

V1 = "grpc.reflection.v1.ServerReflection"


def enable_reflection(server: grpc.aio.Server, services: Sequence[str]) -> None:
    """Let generic tools read the contracts of `services` from the running server."""
    names = [*services, reflection.SERVICE_NAME, V1]
    reflection.enable_server_reflection(names, server)
    # The messages of v1 and v1alpha are the same on the wire; only the service's name differs.
    servicer = reflection.aio.ReflectionServicer(names)
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(V1, {"ServerReflectionInfo": handler}),)
    )
