"""`python -m bench.request.empty`: a grpc.aio server with nothing in it, to hold others against."""

import asyncio
import os

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2_grpc

METHOD = "/bench.Empty/Echo"


async def main() -> None:
    """Answer each message with itself on LONGTAIL_SERVER_ADDRESS, until ended."""

    async def echo(request: bytes, _: object) -> bytes:
        return request

    _, service, name = METHOD.split("/")
    server = grpc.aio.server()
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(echo)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {name: handler}),)
    )
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)
    server.add_insecure_port(os.environ["LONGTAIL_SERVER_ADDRESS"])
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())
