"""Where worker and server listen, by default and as told, and what they say when they cannot."""

import os
import re
import signal
import socket
from pathlib import Path
from urllib.request import urlopen

import pytest
from longtail.runtime.listening import ListenAddress
from longtail.server.__main__ import MAX_PROCESSES
from longtail.server.settings import Settings
from longtail.worker.settings import WorkerSettings

from tests import processes

SERVER, SERVER_METRICS = "LONGTAIL_SERVER_ADDRESS", "LONGTAIL_SERVER_METRICS_ADDRESS"
WORKER, WORKER_METRICS = "LONGTAIL_WORKER_ADDRESS", "LONGTAIL_WORKER_METRICS_ADDRESS"
TWO = ("--processes", "2")


def by_default(processes: int) -> list[ListenAddress]:
    """Return all that a worker and a server of so many processes listen on when nothing is set."""
    server, worker = Settings(), WorkerSettings()
    metrics = [server.metrics_address.further(process) for process in range(processes)]
    return [server.address, worker.address, worker.metrics_address, *metrics]


def test_by_default_nothing_meets_with_however_many_processes() -> None:
    ports = [address.port for address in by_default(MAX_PROCESSES)]
    assert len(set(ports)) == len(ports)
    assert Settings().worker_address == str(WorkerSettings().address)


@pytest.fixture
def elsewhere() -> dict[str, str]:
    """Return free addresses; those of metrics lie to each other as they do by default."""
    _, _, *metrics = (address.port for address in by_default(2))
    server, worker = processes.free_address(), processes.free_address()
    while True:
        first = int(processes.free_address().rpartition(":")[2])
        moved = [f"127.0.0.1:{first + port - min(metrics)}" for port in metrics]
        if not {server, worker} & set(moved) and all(map(is_free, moved)):
            worker_metrics, server_metrics, _ = moved
            return {
                SERVER: server,
                WORKER: worker,
                SERVER_METRICS: server_metrics,
                WORKER_METRICS: worker_metrics,
            }


def is_free(address: str) -> bool:
    try:
        held(address).close()
    except OSError:
        return False
    return True


def held(address: str) -> socket.socket:
    """Listen on an address."""
    host, _, port = address.rpartition(":")
    return socket.create_server((host, int(port)))


def further(address: str, count: int) -> str:
    return str(ListenAddress.parse("", address).further(count))


@pytest.mark.model
def test_two_processes_start_beside_a_worker_and_each_has_its_metrics(
    tmp_path: Path, artefact: Path, elsewhere: dict[str, str]
) -> None:
    metrics = {name: elsewhere[name] for name in (WORKER_METRICS, SERVER_METRICS)}
    second = further(metrics[SERVER_METRICS], 1)
    with (
        processes.worker(tmp_path, artefact, **metrics) as worker,
        processes.server(tmp_path, worker.address, *TWO, **metrics) as server,
    ):

        def logged(text: str) -> int:
            return server.log.read_text().count(text)

        # The parent says so once it knows: one that dies before then is a failed start.
        processes.wait_until(lambda: logged("listens process") == 2, server.log)
        assert all(map(has_metrics, [*metrics.values(), second]))

        # What dies and finds its address taken says so, and is there again when it is free. It is
        # not started again before the address is held.
        (pid,) = re.findall(r"started process=1 pid=(\d+)", server.log.read_text())
        server.process.send_signal(signal.SIGSTOP)
        os.kill(int(pid), signal.SIGKILL)
        processes.wait_until(lambda: is_free(second), server.log)
        with held(second):
            server.process.send_signal(signal.SIGCONT)
            processes.wait_until(
                lambda: logged(f"server: cannot listen on {second}: ") > 0, server.log
            )
        processes.wait_until(lambda: logged("listens process") == 3, server.log)
        assert has_metrics(second)
        assert server.stop() == 0


@pytest.mark.parametrize(
    ("program", "arguments", "variable", "further_on"),
    [
        ("worker", (), WORKER, 0),
        ("worker", (), WORKER_METRICS, 0),
        ("server", (), SERVER, 0),
        ("server", (), SERVER_METRICS, 0),
        ("server", TWO, SERVER, 0),
        ("server", TWO, SERVER_METRICS, 0),
        ("server", TWO, SERVER_METRICS, 1),
    ],
)
def test_an_address_that_is_taken_is_named_with_what_to_do(
    tmp_path: Path,
    elsewhere: dict[str, str],
    program: str,
    arguments: tuple[str, ...],
    variable: str,
    further_on: int,
) -> None:
    address = further(elsewhere[variable], further_on)
    with held(address):
        said = last_words(tmp_path, program, arguments, elsewhere, code=1)
    assert said.startswith(f"{program}: cannot listen on {address}: Address already in use; stop ")
    assert f" set {variable}" in said


@pytest.mark.parametrize(
    ("program", "variable"),
    [
        ("worker", WORKER),
        ("worker", WORKER_METRICS),
        ("server", SERVER),
        ("server", SERVER_METRICS),
    ],
)
def test_what_is_no_address_is_named(
    tmp_path: Path, elsewhere: dict[str, str], program: str, variable: str
) -> None:
    said = last_words(tmp_path, program, (), elsewhere | {variable: "127.0.0.1:70000"}, code=2)
    assert said == f"{program}: {variable}='127.0.0.1:70000' is not host:port"


def last_words(
    home: Path, program: str, arguments: tuple[str, ...], addresses: dict[str, str], *, code: int
) -> str:
    """Run a program that must not start; return the line that it leaves."""
    log = home / "failed.log"
    variables = processes.environment(home, **addresses)
    process = processes.start(f"longtail.{program}", log, variables, arguments)
    assert process.wait(processes.PATIENCE_SECONDS) == code, log.read_text()
    (line,) = log.read_text().splitlines()
    return line


def has_metrics(address: str) -> bool:
    try:
        with urlopen(f"http://{address}/metrics", timeout=30) as answer:
            return b"longtail_rpc_in_flight" in answer.read()
    except OSError:
        return False
