"""What is attacked, and how an attacker keeps at it: calls that are made anew as they end."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
import grpc.aio
from longtail.runtime.keys import HEADER, SCHEME

# Between two tries of one attacker, so that the attack and not its own process takes the cores.
PAUSE_SECONDS = 0.1
_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.enable_retries", 0)]
# A connection of its own.
_OWN = ("grpc.use_local_subchannel_pool", 1)

# How often each thing was done, or failed, by its name.
Outcome = Counter[str]
Once = Callable[[], Awaitable[str]]


@dataclass(frozen=True)
class Target:
    """Where the processes listen, the attacker's API key, and what the server can answer a second.

    `names` are those of persons who have lists.
    """

    server: str
    worker: str
    metrics: str
    secret: str
    capacity: float
    names: tuple[str, ...]


def metadata(target: Target) -> tuple[tuple[str, str], ...]:
    """Return what shows the attacker's key."""
    return ((HEADER, SCHEME + target.secret),)


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[grpc.aio.Channel]:
    """Open a connection that nobody else uses."""
    async with grpc.aio.insecure_channel(address, options=[*_OPTIONS, _OWN]) as channel:
        yield channel


async def keep_at(
    once: Once, attackers: int, seconds: float, pause_seconds: float = PAUSE_SECONDS
) -> Outcome:
    """Do `once` again and again, by so many at a time, for so long; return what became of it.

    What is still going on at the end is given up.
    """
    outcome: Outcome = Counter()
    until = time.monotonic() + seconds

    async def attack() -> None:
        while time.monotonic() < until:
            try:
                outcome[await once()] += 1
            except grpc.aio.AioRpcError as error:
                outcome[error.code().name] += 1
            except (OSError, EOFError) as error:
                outcome[type(error).__name__] += 1
            await asyncio.sleep(pause_seconds)

    attacking = [asyncio.create_task(attack()) for _ in range(attackers)]
    _, pending = await asyncio.wait(attacking, timeout=seconds)
    outcome["going on at the end"] += len(pending)
    for task in pending:
        task.cancel()
    for ended in await asyncio.gather(*attacking, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended
    return outcome
