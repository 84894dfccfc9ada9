"""What the processes of Longtail on this machine take while they are under load."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

# What this process is called.
ITSELF = "load test"
_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_SAMPLE_SECONDS = 1.0
# Of /proc/net/tcp: a socket that takes connections.
_LISTENING = "0A"


@dataclass(frozen=True)
class Taken:
    """At `moment`, in seconds since the begin: CPUs in use since the one before, and memory."""

    moment: float
    cpus: float
    megabytes: float


@dataclass
class Watch:
    """What each kind of process, its children included, took moment by moment."""

    samples: dict[str, list[Taken]] = field(default_factory=dict)

    def mean_cpus(self, name: str) -> float:
        """Return the CPUs in use on the average."""
        taken = self.samples[name]
        return sum(each.cpus for each in taken) / len(taken)

    def most_megabytes(self, name: str) -> float:
        """Return the most memory that was seen."""
        return max(each.megabytes for each in self.samples[name])


@asynccontextmanager
async def watching(addresses: Mapping[str, str]) -> AsyncIterator[Watch]:
    """Watch the processes that listen on the port of each address, and this one, in the block.

    `addresses` are of this machine, by what is to be called what listens there.
    """
    watch = Watch()
    found = {name: _listening(int(each.rpartition(":")[2])) for name, each in addresses.items()}
    # A load test that is itself too slow measures nothing.
    pids = {name: each for name, each in found.items() if each} | {ITSELF: {os.getpid()}}
    sampling = asyncio.create_task(_sample(watch, pids))
    try:
        yield watch
    finally:
        sampling.cancel()


async def _sample(watch: Watch, pids: dict[str, set[int]]) -> None:
    begun = time.monotonic()
    used = {name: _cpu_seconds(each) for name, each in pids.items()}
    before = begun
    while True:
        await asyncio.sleep(_SAMPLE_SECONDS)
        moment = time.monotonic()
        for name, each in pids.items():
            seconds = _cpu_seconds(each)
            cpus = max(0.0, seconds - used[name]) / (moment - before)
            watch.samples.setdefault(name, []).append(Taken(moment - begun, cpus, _megabytes(each)))
            used[name] = seconds
        before = moment


def _listening(port: int) -> set[int]:
    """Return the processes of this user that listen on a port."""
    sockets = set()
    for table in ("tcp", "tcp6"):
        for line in (_PROC / "net" / table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                sockets.add(f"socket:[{fields[9]}]")
    return {int(each.name) for each in _PROC.glob("[0-9]*") if sockets & _open_files(each)}


def _open_files(process: Path) -> set[str]:
    found = set()
    try:
        for each in (process / "fd").iterdir():
            found.add(str(each.readlink()))
    except OSError:
        # It is gone, or somebody else's.
        pass
    return found


def _cpu_seconds(pids: Iterable[int]) -> float:
    ticks = 0
    for pid in pids:
        try:
            # After the name, which may hold anything, in brackets.
            stat = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(stat[11]) + int(stat[12])
    return ticks / _TICKS


def _megabytes(pids: Iterable[int]) -> float:
    kilobytes = 0
    for pid in pids:
        try:
            lines = (_PROC / str(pid) / "status").read_text().splitlines()
        except OSError:
            continue
        kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    return kilobytes / 1024
