"""The memory of a process, as Linux counts it."""

import gc
import sys
from dataclasses import dataclass
from pathlib import Path

_KIB = 1024


@dataclass(frozen=True)
class Memory:
    """Bytes: `private` to the process, of `mapped` files, and the most of both together so far.

    Mapped files are page cache, which processes share and the system takes back when it needs to.
    `blocks` are those that Python's objects take, of any size.
    """

    private: int
    mapped: int
    peak: int
    blocks: int

    @property
    def resident(self) -> int:
        """All that the process holds of the machine's memory."""
        return self.private + self.mapped


def memory() -> Memory:
    """Return the memory of this process, after what is garbage to Python was given up."""
    gc.collect()
    rollup = _fields(Path("/proc/self/smaps_rollup"))
    peak = _fields(Path("/proc/self/status"))["VmHWM"]
    resident, private = rollup["Rss"], rollup["Anonymous"]
    return Memory(private, resident - private, peak, sys.getallocatedblocks())


def forget_peak() -> None:
    """Count the peak from now on."""
    Path("/proc/self/clear_refs").write_text("5")


def _fields(path: Path) -> dict[str, int]:
    fields = {}
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        if value.endswith(" kB"):
            fields[name] = int(value.removesuffix(" kB")) * _KIB
    return fields
