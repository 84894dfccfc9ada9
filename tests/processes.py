"""Start our real processes on free ports, and stop them."""

import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import grpc
from grpc_health.v1 import health_pb2
from longtail.client import Access
from longtail.client.calls.channel import open_channel

ROOT = Path(__file__).parents[1]
START_SECONDS = PATIENCE_SECONDS = 120.0
# Below those that the system gives to connections, one of which may take a free port at any moment.
PORTS = range(20_000, 32_000)
# Between those that are given out: further processes have their metrics on the ports after it.
STRIDE = 4
# Where our processes listen. By default it is where those of anybody else would.
ADDRESSES = tuple(
    f"LONGTAIL_{program}_{what}"
    for program in ("SERVER", "WORKER")
    for what in ("ADDRESS", "METRICS_ADDRESS")
)
# Without key and encryption.
OPEN = Access()


@dataclass
class Running:
    """A process of ours that answers `access` on `address`; its output is in `log`."""

    process: subprocess.Popen[bytes]
    address: str
    log: Path
    access: Access = OPEN

    def stop(self, number: int = signal.SIGTERM, timeout: float = PATIENCE_SECONDS) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout)


def _own_ports() -> Iterator[int]:
    """Yield ports, none again before all others were; processes that share the tests share none.

    Whoever is given a free one takes it seconds later, when its program is loaded.
    """
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    size = len(PORTS) // count
    ours = PORTS[number * size :][:size:STRIDE]
    return itertools.cycle(random.sample(ours, len(ours)))


_ports = _own_ports()


def free_address() -> str:
    """Return a loopback address that nothing listens on now, nor any connection is given."""
    while True:
        port = next(_ports)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return f"127.0.0.1:{port}"


def environment(home: Path, **extra: str) -> dict[str, str]:
    """Return an environment for our processes, apart from the user's.

    They have their state under `home`, and listen where nobody does unless `extra` says otherwise.
    """
    ours = {name: value for name, value in os.environ.items() if not name.startswith("LONGTAIL_")}
    # What this process imports they import too.
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    free = {name: free_address() for name in ADDRESSES}
    return {**ours, **free, "PYTHONPATH": path, "LONGTAIL_HOME": str(home), **extra}


def start(
    module: str, log: Path, variables: Mapping[str, str], arguments: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """Start `python -m module`, with its output appended to `log`."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=dict(variables),
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def wait_until_serving(
    running: Running, service: str = "", timeout: float = START_SECONDS
) -> Running:
    """Return when the process says that `service` is SERVING; else fail with its log."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline and running.process.poll() is None:
        try:
            if (
                health(running.address, service, running.access)
                == health_pb2.HealthCheckResponse.SERVING
            ):
                return running
        except grpc.RpcError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"{running.address} never served {service!r}:\n{running.log.read_text()}")


def wait_until(holds: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)


def health(address: str, service: str = "", access: Access = OPEN) -> int:
    """Return the health of a service; raise grpc.RpcError when nobody answers."""
    with open_channel(address, access) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        return int(check(health_pb2.HealthCheckRequest(service=service), timeout=30).status)


@contextmanager
def worker(
    home: Path,
    artefact: Path,
    **extra: str,
) -> Iterator[Running]:
    """Run a worker with the encoder in `artefact` until the block ends.

    What a client of it needs, such as LONGTAIL_CA, is among the variables too.
    """
    address = free_address()
    variables = environment(
        home,
        LONGTAIL_WORKER_ADDRESS=address,
        LONGTAIL_MODEL=str(artefact),
        **extra,
    )
    log = home / "worker.log"
    process = start("longtail.worker", log, variables)
    with _ended(Running(process, address, log, _access(extra))) as running:
        yield wait_until_serving(running)


@contextmanager
def server(
    home: Path,
    worker_address: str,
    *arguments: str,
    address: str = "",
    service: str = "",
    **extra: str,
) -> Iterator[Running]:
    """Run a server on the store under `home`, on a free address or on `address`, for the block.

    The block begins when `service` is SERVING, or all of them.
    """
    address = address or free_address()
    own = {"LONGTAIL_SERVER_ADDRESS": address, "LONGTAIL_WORKER_ADDRESS": worker_address}
    variables = environment(home, **{**own, **extra})
    log = home / "server.log"
    with _ended(
        Running(start("longtail.server", log, variables, arguments), address, log, _access(extra))
    ) as running:
        yield wait_until_serving(running, service)


def _access(variables: Mapping[str, str]) -> Access:
    with mock.patch.dict(os.environ, variables):
        return Access.from_environment()


@contextmanager
def _ended(running: Running) -> Iterator[Running]:
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()
