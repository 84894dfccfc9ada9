"""Several processes on one port, with a real parent and real children."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from longtail.runtime.listening import ListenAddress
from longtail.runtime.settings import SettingsError
from longtail.server.process.supervision import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    next_pause,
    supervise,
)

from tests.processes import PATIENCE_SECONDS, ROOT, environment, free_address
from tests.unit.server.serving_process import PID

COUNT = 3


class Family:
    """A parent that was started, and what can be seen of its children from outside."""

    def __init__(self, parent: subprocess.Popen[bytes], address: str, home: Path) -> None:
        self.parent, self.address = parent, address
        self._lock, self._log = home / "lock", home / "log"

    def pids(self) -> set[int]:
        """Return the processes that answer, seen over connections of their own."""
        return {pid for pid in (ask(self.address) for _ in range(12 * COUNT)) if pid}

    def wait_for(self, count: int) -> set[int]:
        seen = set[int]()

        def all_answer() -> bool:
            nonlocal seen
            seen = self.pids()
            return len(seen) == count

        self.wait_until(all_answer)
        return seen

    def wait_until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)

    def log(self) -> str:
        return self._log.read_text()

    def is_locked(self) -> bool:
        """Return whether any of the processes still holds the lock that all of them inherit."""
        with self._lock.open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False


def ask(address: str) -> int | None:
    """Return the id of the process that takes a new connection, None when none answers."""
    # Without the option, channels to one address share a connection.
    with grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        call: Any = channel.unary_unary(PID)
        try:
            return int(call(b"", timeout=30))
        except grpc.RpcError:
            return None


def start(address: str, home: Path, *options: str, count: int = COUNT) -> subprocess.Popen[bytes]:
    home.mkdir(exist_ok=True)
    module = "tests.unit.server.serving_process"
    with (home / "log").open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", module, address, str(count), str(home / "lock"), *options],
            cwd=ROOT,
            env=environment(home),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )


@contextmanager
def running(home: Path, *options: str) -> Iterator[tuple[Family, set[int]]]:
    """Run a parent and its children; give also the ids of the children."""
    address = free_address()
    family = Family(start(address, home, *options), address, home)
    pids = set[int]()
    try:
        pids = family.wait_for(COUNT)
        # One that ends before the parent knows that it listens has failed to start.
        family.wait_until(lambda: family.log().count("listens process=") == COUNT)
        yield family, pids
    finally:
        family.parent.kill()
        family.parent.wait()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_connections_are_spread_over_the_processes_and_none_is_lost(tmp_path: Path) -> None:
    with running(tmp_path) as (family, pids):
        answers = [ask(family.address) for _ in range(100)]
        assert set(answers) == pids
        assert family.parent.pid not in pids


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_parent_ends_all_of_them_well(tmp_path: Path, number: int) -> None:
    with running(tmp_path) as (family, _):
        family.parent.send_signal(number)
        assert family.parent.wait(PATIENCE_SECONDS) == 0
        assert not family.is_locked()
        assert family.log().count("draining") == COUNT


def test_the_children_drain_and_end_when_the_parent_is_killed(tmp_path: Path) -> None:
    with running(tmp_path) as (family, _):
        family.parent.kill()
        family.parent.wait()
        family.wait_until(lambda: not family.is_locked())
        assert family.log().count("the parent process is gone") == COUNT
        assert family.log().count("INFO longtail.runtime.lifecycle stopped") == COUNT


def test_a_child_that_is_killed_is_started_again_while_the_others_answer(tmp_path: Path) -> None:
    with running(tmp_path) as (family, pids):
        victim = min(pids)
        os.kill(victim, signal.SIGKILL)
        family.wait_until(lambda: f"pid={victim} code=-9" in family.log())
        # By then it may have been started again.
        assert ask(family.address) not in (None, victim)
        after = family.wait_for(COUNT)
        assert pids - {victim} < after
        family.parent.terminate()
        assert family.parent.wait(PATIENCE_SECONDS) == 0


def test_a_child_that_does_not_drain_is_killed(tmp_path: Path) -> None:
    with running(tmp_path, "--stop-seconds", "3") as (family, pids):
        os.kill(min(pids), signal.SIGSTOP)
        family.parent.terminate()
        assert family.parent.wait(PATIENCE_SECONDS) == 1
        assert not family.is_locked()


def test_a_second_parent_on_the_port_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    with running(tmp_path / "one") as (family, pids):
        second = start(family.address, tmp_path / "two")
        assert second.wait(PATIENCE_SECONDS) == 3
        assert f"cannot listen on {family.address}" in (tmp_path / "two" / "log").read_text()
        assert family.wait_for(COUNT) == pids


def test_a_child_that_cannot_start_ends_all_with_its_code(tmp_path: Path) -> None:
    parent = start(free_address(), tmp_path, "--fail", "7")
    assert parent.wait(PATIENCE_SECONDS) == 7
    # The others are not even begun.
    log = (tmp_path / "log").read_text()
    assert log.count("started process=") == 1
    assert "process 0 ended with code 7 before it listened" in log


def test_a_child_that_is_still_loading_ends_with_the_parent(tmp_path: Path) -> None:
    parent = start(free_address(), tmp_path)
    family = Family(parent, "", tmp_path)
    family.wait_until(lambda: "started process=0" in family.log())
    parent.terminate()
    assert parent.wait(PATIENCE_SECONDS) == 0
    assert not family.is_locked()


def test_a_port_that_would_be_another_for_each_is_refused() -> None:
    address = ListenAddress.parse("TEST_ADDRESS", "127.0.0.1:0")
    with pytest.raises(SettingsError, match="several processes need"):
        supervise(lambda index: [], 2, [address], stop_seconds=1.0)


def test_pauses_grow_to_a_bound_and_begin_anew_after_a_settled_life() -> None:
    pauses = [0.0]
    for _ in range(7):
        pauses.append(next_pause(pauses[-1], lived_seconds=1.0))
    assert pauses[1:] == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert next_pause(LONGEST_PAUSE, lived_seconds=61.0) == FIRST_PAUSE


def test_the_parent_loads_no_grpc() -> None:
    source = "import sys, longtail.server.process.supervision; sys.exit('grpc' in sys.modules)"
    subprocess.run([sys.executable, "-c", source], cwd=ROOT, check=True)
