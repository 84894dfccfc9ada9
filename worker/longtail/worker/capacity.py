"""How many cores this process may use, and how inference divides them best."""

import logging
import os
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from longtail.worker.batcher import Infer
from longtail.worker.vectors import TokenIds

logger = logging.getLogger(__name__)

_CGROUPS, _MEMBERSHIP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
# Throughputs nearer than this are the same; then the faster answer decides.
_NEAR = 0.05


@dataclass(frozen=True)
class Layout:
    """`slots` inferences at once on `threads` each; measured in tokens/s and seconds a batch."""

    slots: int
    threads: int
    tokens_per_second: float = 0.0
    batch_seconds: float = 0.0


def cores(
    *,
    cgroups: Path = _CGROUPS,
    membership: Path = _MEMBERSHIP,
    affinity: Callable[[int], set[int]] = os.sched_getaffinity,
) -> int:
    """Return the whole cores that affinity and quotas of cgroups v2 and v1 leave, at least 1."""
    quotas = [
        quota
        for controllers, path in _memberships(membership)
        for folder in _folders(cgroups, controllers, path)
        if (quota := _quota(folder)) is not None
    ]
    return max(1, int(min([len(affinity(0)), *quotas])))


def probe(
    load: Callable[[int], Infer],
    cores: int,
    batch: Sequence[TokenIds],
    *,
    seconds: float = 0.8,
    clock: Callable[[], float] = time.perf_counter,
) -> Layout:
    """Measure the sensible layouts for `seconds` in all and return the best one.

    `batch` is what they are measured with; `load` gives an encoder that uses so many threads. The
    highest throughput wins, and among those near it the shortest batch. The time to load is not
    counted.
    """
    candidates = _candidates(cores)
    if len(candidates) == 1:
        return Layout(*candidates[0])
    measured = [
        _measure(load(threads), batch, slots, threads, seconds / len(candidates), clock)
        for slots, threads in candidates
    ]
    for layout in measured:
        logger.info(
            "probe slots=%d threads=%d tokens_per_second=%.0f batch_seconds=%.4f",
            layout.slots,
            layout.threads,
            layout.tokens_per_second,
            layout.batch_seconds,
        )
    return best(measured)


def best(measured: Sequence[Layout]) -> Layout:
    """Return the layout of the shortest batch among those whose throughput is near the highest."""
    most = max(layout.tokens_per_second for layout in measured)
    near = [layout for layout in measured if layout.tokens_per_second >= (1 - _NEAR) * most]
    return min(near, key=lambda layout: layout.batch_seconds)


def _candidates(cores: int) -> list[tuple[int, int]]:
    """Return (slots, threads): all cores apart, all together, and pairs of cores between."""
    middle = [(cores // 2, 2)] if cores >= 4 else []
    return list(dict.fromkeys([(cores, 1), *middle, (1, cores)]))


def _measure(
    infer: Infer,
    batch: Sequence[TokenIds],
    slots: int,
    threads: int,
    seconds: float,
    clock: Callable[[], float],
) -> Layout:
    # The first inference of a shape allocates, and is no measure.
    infer(batch)
    started = clock()

    def repeat(_: int) -> list[float]:
        took: list[float] = []
        while not took or clock() - started < seconds:
            before = clock()
            infer(batch)
            took.append(clock() - before)
        return took

    with ThreadPoolExecutor(slots, thread_name_prefix="probe") as pool:
        took = [batch_seconds for each in pool.map(repeat, range(slots)) for batch_seconds in each]
    tokens = len(took) * sum(map(len, batch))
    return Layout(slots, threads, tokens / (clock() - started), statistics.median(took))


def _memberships(path: Path) -> list[tuple[str, str]]:
    """Return (controllers, path) of each hierarchy; the controllers of version 2 are ""."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return []
    fields = [line.split(":", 2) for line in lines]
    return [(field[1], field[2]) for field in fields if len(field) == 3]


def _folders(root: Path, controllers: str, path: str) -> list[Path]:
    """Return the group's folder and its ancestors', any of which may have a quota."""
    if controllers and "cpu" not in controllers.split(","):
        return []
    top = root / controllers
    # Inside a container the path may be the host's, and only the top exists.
    parts = [part for part in path.split("/") if part and part != ".."]
    return [top.joinpath(*parts[:depth]) for depth in range(len(parts) + 1)]


def _quota(folder: Path) -> float | None:
    """Return the cores' worth of time that a group may use, if it is limited."""
    try:
        if (file := folder / "cpu.max").exists():
            quota, period = file.read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        return int(quota) / int(period) if quota not in ("max", "-1") else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
