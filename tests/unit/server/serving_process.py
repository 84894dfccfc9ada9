"""A small server under the real supervisor: it answers health checks and with its process id.

`python -m tests.unit.server.serving_process ADDRESS COUNT LOCK` is the parent; with
`--child INDEX` and, for one that cannot start, `--fail CODE` it is a child.
"""

import argparse
import asyncio
import fcntl
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from longtail.runtime.listening import ListenAddress
from longtail.runtime.logs import TEXT, configure_logging
from longtail.server.process.supervision import lifeline, supervise

DRAIN_SECONDS = 2.0
PID = "/test.Process/Pid"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("count", type=int)
    parser.add_argument("lock", type=Path)
    parser.add_argument("--child", type=int)
    parser.add_argument("--fail", type=int)
    parser.add_argument("--stop-seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    configure_logging("info", TEXT)
    address = ListenAddress.parse("TEST_ADDRESS", arguments.address)
    if arguments.child is not None:
        if arguments.fail is not None:
            return int(arguments.fail)
        asyncio.run(_serve(address))
        return 0
    return _supervise(address, arguments.count, arguments.lock, arguments.stop_seconds)


def _supervise(address: ListenAddress, count: int, path: Path, stop_seconds: float) -> int:
    def command(index: int) -> Sequence[str]:
        return [sys.executable, "-m", __spec__.name, *sys.argv[1:], "--child", str(index)]

    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            return supervise(
                command, count, [address], stop_seconds=stop_seconds, inherited=[lock.fileno()]
            )
        except OSError as error:
            sys.stderr.write(f"{error}\n")
            return 3


async def _serve(address: ListenAddress) -> None:
    # The parent is to stay without gRPC.
    import grpc
    from longtail.runtime.lifecycle import HealthBoard, Listener, new_server, serve

    async def pid(request: bytes, context: object) -> bytes:
        return str(os.getpid()).encode()

    board = HealthBoard([])
    server = new_server([], board, reuse_port=True)
    handlers: dict[str, Any] = {"Pid": grpc.unary_unary_rpc_method_handler(pid)}
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("test.Process", handlers),)
    )
    await serve(
        Listener(server, address, []),
        board=board,
        background={},
        drain_seconds=DRAIN_SECONDS,
        stop_when=lifeline(),
    )


if __name__ == "__main__":
    sys.exit(main())
