"""Run programs that depend on each other as one: up together, down in order, dead together."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

POLL_SECONDS = 0.05
CHECK_SECONDS = 1.0
LAST_OUTPUT_SECONDS = 1.0
CHUNK_BYTES = 2**16

# gRPC's own first pause after a refused connection is a second, most of what a start takes.
_RECONNECT = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
]

Write = Callable[[str], None]


class StackError(Exception):
    """The programs could not be kept running, or did not stop as they should."""


@dataclass(frozen=True)
class Program:
    """A command that serves `grpc.health.v1` on `address` (host:port) and drains on SIGTERM."""

    name: str
    command: tuple[str, ...]
    address: str


@dataclass(frozen=True)
class Limits:
    """Seconds in which all programs have to serve, and in which each has to stop."""

    start_seconds: float = 300.0
    stop_seconds: float = 30.0


async def run(
    programs: Sequence[Program],
    when_serving: Callable[[], Awaitable[None]],
    *,
    write: Write,
    limits: Limits,
) -> None:
    """Run the programs until SIGINT or SIGTERM, and await `when_serving` once all of them serve.

    They are stopped in the reverse of the order given: name first what the others depend on. Their
    output goes to `write` line by line, behind the program's name.

    Raises StackError when a program dies, never serves, or does not stop in time and cleanly; and
    whatever `when_serving` raises. Nothing is left running in any case.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    async def work() -> None:
        async with asyncio.timeout(limits.start_seconds):
            await asyncio.gather(*(_until_serving(program.address) for program in programs))
        await when_serving()
        await stop.wait()

    async with AsyncExitStack() as children:
        deaths = [
            await children.enter_async_context(_running(program, write, limits.stop_seconds))
            for program in programs
        ]
        ours = [asyncio.create_task(work()), asyncio.create_task(stop.wait())]
        done, _ = await asyncio.wait([*ours, *deaths], return_when=asyncio.FIRST_COMPLETED)
        for task in ours:
            task.cancel()
        await asyncio.gather(*ours, return_exceptions=True)
        try:
            for task in done:
                task.result()
        except TimeoutError as error:
            seconds = limits.start_seconds
            raise StackError(f"the programs did not serve within {seconds:g} s") from error


@asynccontextmanager
async def _running(
    program: Program, write: Write, stop_seconds: float
) -> AsyncIterator[asyncio.Task[None]]:
    """Run the program for the length of the block; yield the task that raises when it dies."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "demo.leash", str(os.getpid()), *program.command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        # Out of reach of the terminal's Ctrl-C: only we say when, and in which order, to stop.
        start_new_session=True,
    )
    death = asyncio.create_task(_follow(program.name, process, write))
    try:
        yield death
    finally:
        try:
            await _stop(program.name, process, stop_seconds)
        finally:
            await asyncio.wait([death], timeout=LAST_OUTPUT_SECONDS)
            death.cancel()
            await asyncio.gather(death, return_exceptions=True)


async def _follow(name: str, process: asyncio.subprocess.Process, write: Write) -> None:
    """Pass the output on until the process ends, then raise StackError."""
    assert process.stdout is not None  # noqa: S101 - it was asked for
    rest = b""
    while chunk := await process.stdout.read(CHUNK_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            write(f"{name:>6} | {line.decode(errors='replace')}")
    code = await process.wait()
    raise StackError(f"the {name} ended by itself with exit code {code}")


async def _stop(name: str, process: asyncio.subprocess.Process, seconds: float) -> None:
    """Ask a process that still runs to stop, and make it stop when it does not."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(seconds):
            code = await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise StackError(f"the {name} did not stop within {seconds:g} s and was killed") from None
    # A process that has not come as far as its own handler dies of the signal itself.
    if code not in (0, -signal.SIGTERM):
        raise StackError(f"the {name} failed while it stopped, with exit code {code}")


async def _until_serving(address: str) -> None:
    request = health_pb2.HealthCheckRequest(service="")
    async with grpc.aio.insecure_channel(address, options=_RECONNECT) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[attr-defined]
        while True:
            try:
                reply = await check(request, timeout=CHECK_SECONDS)
                if reply.status == health_pb2.HealthCheckResponse.SERVING:
                    return
            except grpc.aio.AioRpcError:
                pass  # It is not listening yet; whether it ever will is for the caller's limit.
            await asyncio.sleep(POLL_SECONDS)
