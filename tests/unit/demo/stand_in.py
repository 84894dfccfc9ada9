"""A small program in place of a worker or server: it serves health on ADDRESS as MANNER says.

`python stand_in.py NAME ADDRESS MANNER`, where MANNER is
    orderly     serves, and stops on SIGTERM with exit code 0
    deaf        serves, and ignores SIGTERM
    failing     serves, and stops on SIGTERM with exit code 3
    dying       serves, and ends by itself with exit code 7 when it is asked for its health again
    hopeless    says that it does not serve
"""

import asyncio
import itertools
import signal
import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

CODES = {"orderly": 0, "deaf": 0, "failing": 3, "dying": 7, "hopeless": 0}


async def main(name: str, address: str, manner: str) -> int:
    end = asyncio.Event()
    checks = itertools.count(1)

    class Health(health_pb2_grpc.HealthServicer):
        async def Check(  # noqa: N802
            self, request: health_pb2.HealthCheckRequest, context: object
        ) -> health_pb2.HealthCheckResponse:
            if next(checks) > 1 and manner == "dying":
                end.set()
            status = health_pb2.HealthCheckResponse
            return status(status=status.NOT_SERVING if manner == "hopeless" else status.SERVING)

    stop = (lambda: None) if manner == "deaf" else end.set
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(Health(), server)
    server.add_insecure_port(address)
    await server.start()
    await end.wait()
    await server.stop(1)
    sys.stdout.write(f"{name} stops\n")
    return CODES[manner]


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
