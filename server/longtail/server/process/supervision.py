"""Several serving processes on one port of one machine, started and kept by a parent.

The kernel spreads the connections over the processes that listen on the port with SO_REUSEPORT.
The parent serves nothing: it holds the port, so that no stranger joins, and starts again what dies.
It imports no gRPC, whose threads would not survive a fork.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from typing import NoReturn

from longtail.runtime.listening import ListenAddress
from longtail.runtime.settings import SettingsError

logger = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
# A process that has lived so long did not die of how it was started.
SETTLED_SECONDS = 60.0

_LISTENING = b"l"


class StartFailed(Exception):
    """A process ended before it listened."""

    def __init__(self, index: int, code: int) -> None:
        super().__init__(f"process {index} ended with code {code} before it listened")
        self.code = code


def supervise(
    command: Callable[[int], Sequence[str]],
    count: int,
    addresses: Sequence[ListenAddress],
    *,
    stop_seconds: float,
    inherited: Sequence[int] = (),
) -> int:
    """Keep `count` processes that serve `addresses` until SIGTERM or SIGINT.

    `command(index)` is the command line of a process; it has to run `lifeline` and to listen with
    SO_REUSEPORT. Process 0 is started first and the others once it listens, so that it alone finds
    a folder without a store or an index. `inherited` are file descriptors that each of them holds
    too. They have `stop_seconds` to drain, then they are killed.

    Returns the exit code: 0 when all ended well, that of a process which could not start, else 1.
    Raises CannotListen, and SettingsError for port 0, which would be another for each of them.
    """
    with contextlib.ExitStack() as held:
        for address in addresses:
            if address.port == 0:
                raise SettingsError(
                    f"{address}: several processes need a port by number, not port 0"
                )
            held.enter_context(address.reserved())
        children = [_Child(index, command, inherited) for index in range(count)]
        return asyncio.run(_supervise(children, stop_seconds))


async def lifeline(descriptor: int = 0) -> None:
    """Tell the parent that this process listens; return when the parent is gone.

    The connection is the standard input of a process that `supervise` started. It breaks even when
    the parent is killed. Raises OSError when `descriptor` is no such connection.
    """
    loop = asyncio.get_running_loop()
    with socket.socket(fileno=os.dup(descriptor)) as connection:
        connection.setblocking(False)
        with contextlib.suppress(ConnectionError):
            await loop.sock_sendall(connection, _LISTENING)
            # The parent never writes: this ends with it.
            await loop.sock_recv(connection, 1)
    logger.warning("the parent process is gone")


def next_pause(last: float, lived_seconds: float) -> float:
    """Return the seconds to wait before a process that died is started again.

    `last` is what was waited before it was started, 0 for the first.
    """
    if lived_seconds >= SETTLED_SECONDS:
        return FIRST_PAUSE
    return min(max(2 * last, FIRST_PAUSE), LONGEST_PAUSE)


async def _supervise(children: Sequence["_Child"], stop_seconds: float) -> int:
    loop = asyncio.get_running_loop()
    stop, ready = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    told = asyncio.create_task(stop.wait())
    keeping = [asyncio.create_task(child.keep(ready)) for child in children]
    await asyncio.wait([told, *keeping], return_when=asyncio.FIRST_COMPLETED)

    logger.info("stopping processes=%d seconds=%s", len(children), stop_seconds)
    for task in (told, *keeping):
        task.cancel()
    ends = await asyncio.gather(*keeping, return_exceptions=True)
    clean = await asyncio.gather(*(child.stop(stop_seconds) for child in children))
    for end in ends:
        if isinstance(end, StartFailed):
            logger.error("not started error=%s", end)
            return _exit_code(end.code)
        if not isinstance(end, asyncio.CancelledError):
            raise end
    return 0 if all(clean) else 1


class _Child:
    """The process of one index, and those that follow it when it dies."""

    def __init__(
        self, index: int, command: Callable[[int], Sequence[str]], inherited: Sequence[int]
    ) -> None:
        self._index, self._command, self._inherited = index, command, inherited
        self._process: asyncio.subprocess.Process | None = None
        self._lifeline: socket.socket | None = None

    async def keep(self, ready: asyncio.Event) -> NoReturn:
        """Start the process, and again whenever it dies; raise StartFailed when it never listened.

        Process 0 sets `ready` when it listens; the others wait for it.
        """
        if self._index:
            await ready.wait()
        process, started, pause = await self._start(), time.monotonic(), 0.0
        ready.set()
        while True:
            code = await process.wait()
            logger.error("died process=%d pid=%d code=%d", self._index, process.pid, code)
            pause = next_pause(pause, time.monotonic() - started)
            await asyncio.sleep(pause)
            started = time.monotonic()
            try:
                process = await self._start()
            except (StartFailed, OSError) as error:
                logger.error("not started process=%d error=%s", self._index, error)

    async def stop(self, seconds: float) -> bool:
        """Let the process drain, or kill it after `seconds`; return whether it ended well."""
        process = self._process
        if process is None or process.returncode is not None:
            return True
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            code = await asyncio.wait_for(process.wait(), seconds)
        except TimeoutError:
            logger.error("killed for not draining process=%d seconds=%s", self._index, seconds)
            process.kill()
            await process.wait()
            return False
        logger.info("ended process=%d code=%d", self._index, code)
        # One that was still loading dies of the signal itself: it had nothing to drain.
        return code in (0, -signal.SIGTERM)

    async def _start(self) -> asyncio.subprocess.Process:
        """Start the process; return it when it listens."""
        if self._lifeline is not None:
            self._lifeline.close()
        self._lifeline, theirs = socket.socketpair()
        self._lifeline.setblocking(False)
        with theirs:
            process = self._process = await asyncio.create_subprocess_exec(
                *self._command(self._index),
                stdin=theirs.fileno(),
                pass_fds=self._inherited,
                # Ctrl-C in a terminal is for the parent, which passes it on once.
                start_new_session=True,
            )
        logger.info("started process=%d pid=%d", self._index, process.pid)
        if await asyncio.get_running_loop().sock_recv(self._lifeline, 1) != _LISTENING:
            raise StartFailed(self._index, await process.wait())
        logger.info("listens process=%d pid=%d", self._index, process.pid)
        return process


def _exit_code(code: int) -> int:
    """Return a failure for the code of a process, which is negative for a signal."""
    return 128 - code if code < 0 else code or 1
