import asyncio
import os
import signal
import socket
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from demo import stack
from demo.stack import Limits, Program, StackError, run
from tests.processes import PATIENCE_SECONDS, free_address

STAND_IN = Path(__file__).with_name("stand_in.py")
LIMITS = Limits(start_seconds=PATIENCE_SECONDS, stop_seconds=PATIENCE_SECONDS)


def program(name: str, manner: str = "orderly") -> Program:
    address = free_address()
    return Program(name, (sys.executable, str(STAND_IN), name, address, manner), address)


async def ask_to_stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


async def nothing() -> None:
    pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_the_last_program_first(number: int) -> None:
    lines: list[str] = []

    async def interrupt() -> None:
        os.kill(os.getpid(), number)

    programs = [program("worker"), program("server")]
    await run(programs, interrupt, write=lines.append, limits=LIMITS)
    assert lines == ["server | server stops", "worker | worker stops"]


async def test_a_signal_stops_programs_that_do_not_serve_yet() -> None:
    lines: list[str] = []
    asyncio.get_running_loop().call_later(0.5, os.kill, os.getpid(), signal.SIGTERM)
    await run([program("worker", "hopeless")], nothing, write=lines.append, limits=LIMITS)
    # Half a second may or may not be enough for it to have its own handler.
    assert lines in ([], ["worker | worker stops"])


async def test_a_program_that_dies_is_named_and_the_other_drained() -> None:
    lines: list[str] = []
    programs = [program("worker"), program("server", "dying")]

    async def ask_again() -> None:
        async with grpc.aio.insecure_channel(programs[1].address) as channel:
            check = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[attr-defined]
            # Whether it still answers is no matter.
            with suppress(grpc.aio.AioRpcError):
                await check(health_pb2.HealthCheckRequest(), timeout=60)

    with pytest.raises(StackError, match="the server ended by itself with exit code 7"):
        await run(programs, ask_again, write=lines.append, limits=LIMITS)
    assert lines == ["server | server stops", "worker | worker stops"]


async def test_a_program_that_cannot_start_is_named() -> None:
    missing = Program("worker", ("/nowhere/program",), free_address())
    with pytest.raises(StackError, match="the worker ended by itself with exit code"):
        await run([missing], nothing, write=lambda _: None, limits=LIMITS)


async def test_programs_that_never_serve_are_given_up() -> None:
    limits = replace(LIMITS, start_seconds=0.5)
    with pytest.raises(StackError, match=r"did not serve within 0\.5 s"):
        await run([program("worker", "hopeless")], nothing, write=lambda _: None, limits=limits)


async def test_a_program_that_does_not_stop_is_killed_and_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop = stack._stop

    async def hasty(name: str, process: Process, seconds: float) -> None:
        # The other one may need longer for it.
        await stop(name, process, 0.5 if name == "server" else seconds)

    monkeypatch.setattr(stack, "_stop", hasty)
    lines: list[str] = []
    programs = [program("worker"), program("server", "deaf")]
    with pytest.raises(StackError, match=r"the server did not stop within 0\.5 s and was killed"):
        await run(programs, ask_to_stop, write=lines.append, limits=LIMITS)
    assert lines == ["worker | worker stops"]


async def test_a_program_that_fails_while_it_stops_is_named() -> None:
    with pytest.raises(StackError, match="the server failed while it stopped, with exit code 3"):
        await run([program("server", "failing")], ask_to_stop, write=lambda _: None, limits=LIMITS)


async def test_what_goes_wrong_when_all_serve_stops_the_programs() -> None:
    async def refused() -> None:
        raise LookupError("refused")

    lines: list[str] = []
    with pytest.raises(LookupError, match="refused"):
        await run([program("worker")], refused, write=lines.append, limits=LIMITS)
    assert lines == ["worker | worker stops"]


SUPERVISOR = """
import asyncio, sys
from demo import stack
from demo.stack import Limits, Program, run

async def serving():
    sys.stdout.write("all serve\\n")
    sys.stdout.flush()

program = Program("worker", (sys.executable, *sys.argv[1:]), sys.argv[3])
asyncio.run(run([program], serving, write=sys.stdout.write, limits=Limits()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the leash is the Linux kernel's")
async def test_programs_do_not_outlive_a_killed_demo() -> None:
    address = free_address()
    supervisor = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SUPERVISOR, str(STAND_IN), "worker", address, "orderly"),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert supervisor.stdout is not None
    assert await supervisor.stdout.readline() == b"all serve\n"
    supervisor.kill()
    await supervisor.wait()
    await asyncio.to_thread(wait_for, lambda: not listens(address))


def listens(address: str) -> bool:
    host, port = address.split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def wait_for(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
