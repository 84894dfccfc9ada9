"""Cores under every kind of limit, and the choice of a layout by a clock that the encoders move."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from longtail.worker import capacity
from longtail.worker.batcher import Infer
from longtail.worker.vectors import TokenIds, Vectors


def affinity(cores: int) -> Callable[[int], set[int]]:
    return lambda _: set(range(cores))


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        pytest.param("0::/", {}, 8, id="no limit"),
        pytest.param("0::/", {"cpu.max": "max 100000\n"}, 8, id="version 2 without a quota"),
        pytest.param("0::/", {"cpu.max": "250000 100000\n"}, 2, id="version 2, rounded down"),
        pytest.param("0::/", {"cpu.max": "50000 100000\n"}, 1, id="less than one core"),
        pytest.param("0::/", {"cpu.max": "6400000 100000\n"}, 8, id="more than the affinity"),
        pytest.param(
            "0::/slice/unit",
            {"slice/cpu.max": "300000 100000\n", "slice/unit/cpu.max": "max 100000\n"},
            3,
            id="a quota of the parent",
        ),
        pytest.param(
            "1:name=systemd:/\n4:cpu,cpuacct:/job\n0::/job",
            {
                "cpu,cpuacct/job/cpu.cfs_quota_us": "400000\n",
                "cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
            },
            4,
            id="version 1",
        ),
        pytest.param(
            "4:cpu:/docker/a1b2",
            {"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"},
            2,
            id="version 1 with the host's path",
        ),
        pytest.param(
            "4:cpu:/",
            {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
            8,
            id="version 1 without a quota",
        ),
        pytest.param("0::/", {"cpu.max": "nonsense"}, 8, id="unreadable"),
    ],
)
def test_cores_are_the_least_that_any_limit_leaves(
    tmp_path: Path, membership: str, files: dict[str, str], expected: int
) -> None:
    write(tmp_path, {"membership": membership, **{f"fs/{name}": files[name] for name in files}})
    assert (
        capacity.cores(
            cgroups=tmp_path / "fs", membership=tmp_path / "membership", affinity=affinity(8)
        )
        == expected
    )


def test_where_there_are_no_cgroups_the_affinity_counts(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    assert capacity.cores(cgroups=absent, membership=absent, affinity=affinity(3)) == 3


class Machine:
    """Encoders whose batches take the seconds given for their threads, on a clock of its own.

    The time of inferences in parallel is divided between them, as if each had its own cores.
    """

    def __init__(self, seconds: dict[int, float], cores: int) -> None:
        self.loaded: list[int] = []
        self.tokens: set[int] = set()
        self._seconds = seconds
        self._cores = cores
        self._now = 0.0
        self._lock = threading.Lock()

    def clock(self) -> float:
        with self._lock:
            return self._now

    def load(self, threads: int) -> Infer:
        self.loaded.append(threads)

        def infer(batch: Sequence[TokenIds]) -> Vectors:
            with self._lock:
                self.tokens.update(token for ids in batch for token in ids)
                self._now += self._seconds[threads] * threads / self._cores
            return np.zeros((len(batch), 1), np.float32)

        return infer

    def probe(self) -> tuple[int, int]:
        layout = capacity.probe(self.load, self._cores, [[7, 8], [9]], clock=self.clock)
        return layout.slots, layout.threads


def test_cores_apart_win_where_threads_do_not_pay() -> None:
    machine = Machine({1: 0.010, 2: 0.008}, cores=2)
    assert machine.probe() == (2, 1)
    assert machine.loaded == [1, 2]


def test_cores_together_win_where_they_compute_more() -> None:
    assert Machine({1: 0.010, 2: 0.004}, cores=2).probe() == (1, 2)


def test_the_middle_can_win() -> None:
    assert Machine({1: 0.010, 2: 0.003, 8: 0.002}, cores=8).probe() == (4, 2)


def test_one_core_has_one_layout_and_nothing_to_measure() -> None:
    machine = Machine({1: 0.010}, cores=1)
    assert machine.probe() == (1, 1)
    assert machine.loaded == []


def test_of_two_as_fast_the_one_that_answers_sooner_is_taken() -> None:
    def measured(slots: int, threads: int, tokens: float, seconds: float) -> capacity.Layout:
        return capacity.Layout(slots, threads, tokens, seconds)

    wide, apart = measured(1, 2, 980, 0.005), measured(2, 1, 1_000, 0.010)
    assert capacity.best([apart, wide]) == wide
    assert capacity.best([apart, measured(1, 2, 900, 0.005)]) == apart


def test_the_probe_measures_with_the_batch_it_is_given() -> None:
    machine = Machine({1: 0.010, 2: 0.008}, cores=2)
    machine.probe()
    assert machine.tokens == {7, 8, 9}
