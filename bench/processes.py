"""The processes that are measured: started on free ports of this machine, and ended in any case."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from bench.figures import NotRun

ROOT = Path(__file__).parents[1]

_START_SECONDS = 180.0
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Service:
    """A process that is SERVING, and how many seconds it took from its start to that."""

    address: str
    metrics_address: str
    start_seconds: float
    pid: int

    def cpu_seconds(self) -> float:
        """Return the processor time that the process has taken so far."""
        # After the name, which may hold anything, in brackets.
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def counters(self, *names: str) -> list[float]:
        """Return the value of each counter, over all its labels."""
        samples = self._samples()
        return [sum(sample.value for sample in samples if sample.name == name) for name in names]

    def calls(self, method: str) -> float:
        """Return how many calls of a method were answered."""
        return sum(
            sample.value
            for sample in self._samples()
            if sample.name == "longtail_rpc_total"
            and sample.labels["method"].rpartition("/")[2] == method
        )

    def _samples(self) -> list[Sample]:
        with urllib.request.urlopen(f"http://{self.metrics_address}/metrics") as response:
            text = response.read().decode()
        return [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]


@contextmanager
def worker(
    artefact: Path, out: Path, address: str | None = None, **extra: str
) -> Iterator[Service]:
    """Run a worker on the CPU, with `extra` in its environment and its log in `out`."""
    address, metrics_address = address or free_address(), free_address()
    variables = {
        **our_environment(),
        "LONGTAIL_HOME": str(out),
        "LONGTAIL_MODEL": str(artefact.resolve()),
        "LONGTAIL_WORKER_ADDRESS": address,
        "LONGTAIL_WORKER_METRICS_ADDRESS": metrics_address,
        "LONGTAIL_WORKER_DEVICE": "cpu",
        **extra,
    }
    with serving("longtail.worker", address, metrics_address, variables, out) as service:
        yield service


@contextmanager
def server(
    home: Path, worker_address: str, out: Path, under: Sequence[str] = (), **extra: str
) -> Iterator[Service]:
    """Run a server on the state in `home`, with `extra` in its environment and its log in `out`.

    `under` are the arguments of a Python that runs the module it is given.
    """
    address, metrics_address = free_address(), free_address()
    variables = {
        **our_environment(),
        "LONGTAIL_HOME": str(home),
        "LONGTAIL_SERVER_ADDRESS": address,
        "LONGTAIL_SERVER_METRICS_ADDRESS": metrics_address,
        "LONGTAIL_WORKER_ADDRESS": worker_address,
        **extra,
    }
    with serving("longtail.server", address, metrics_address, variables, out, under) as service:
        yield service


@contextmanager
def running(
    command: Sequence[str], variables: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command with its output in `log`; it is asked to stop at the end, and then killed."""
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  # built by us
            command,
            cwd=log.parent,
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            stop(process)


def stop(process: "subprocess.Popen[bytes] | subprocess.Popen[str]") -> None:
    """End a process: SIGTERM, and SIGKILL when that does not do."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_until(is_ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once the process is ready; raise NotRun with the end of its log when it never is."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if is_ready():
            return
        time.sleep(_POLL_SECONDS)
    raise NotRun(f"{log.stem} did not start: {last_line(log.read_text(errors='replace'))}")


def last_line(text: str) -> str:
    """Return what a program said last."""
    return (text.strip().splitlines() or ["it said nothing"])[-1]


def our_environment() -> dict[str, str]:
    """Return variables for our own programs, with no setting that the caller's shell may have."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LONGTAIL_")}
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**kept, "PYTHONPATH": path}


def free_address() -> str:
    """Return a loopback address that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def listens(address: str) -> bool:
    """Return whether a connection to host:port is taken."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def serving(
    module: str,
    address: str,
    metrics_address: str,
    variables: Mapping[str, str],
    out: Path,
    under: Sequence[str] = (),
) -> Iterator[Service]:
    """Run a module of ours that answers on `address`, with its log in `out`."""
    log = out / f"{module}.log"
    start = time.perf_counter()
    with running([sys.executable, *(under or ("-m",)), module], variables, log) as process:
        wait_until(lambda: is_serving(address), process, log)
        yield Service(address, metrics_address, time.perf_counter() - start, process.pid)


def is_serving(address: str, service: str = "") -> bool:
    """Return whether health says of a service, or of all there are, that it serves."""
    # Until somebody listens, gRPC would wait longer between its attempts than the start takes.
    if not listens(address):
        return False
    with grpc.insecure_channel(address) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            status = check(health_pb2.HealthCheckRequest(service=service), timeout=1).status
        except grpc.RpcError:
            return False
    return bool(status == health_pb2.HealthCheckResponse.SERVING)
