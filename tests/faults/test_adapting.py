"""Adapting an encoder in two processes, and killed half-way; and distilling one in two."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.processes import ROOT
from tests.unit.training.adapt import small
from training import steps
from training.adapt.run import REPORT
from training.distil import run as distilling


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.checkpoint(tmp_path_factory.mktemp("model") / "small")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.catalogue(tmp_path_factory.mktemp("data") / "small")


def command(model: Path, data: Path, out: Path, *arguments: str) -> list[str]:
    return [
        "-m", "training", "adapt", str(data), "--model", str(model), "--out", str(out),
        "--tasks", "descriptions,queries", "--steps", "12", "--batch", "24", "--part", "8",
        "--look", "4", "--rate", "0.03", "--restraint", "0.1", "--rank", "4", *arguments,
    ]  # fmt: skip


def in_two(arguments: list[str]) -> str:
    """Run a command in two processes that share its work; return what it said."""
    together = subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", *arguments],
        cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"},
        start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    said, _ = together.communicate(timeout=240)
    assert together.returncode == 0, said
    return said


def test_two_processes_learn_together_and_a_kill_loses_nothing(
    model: Path, data: Path, tmp_path: Path
) -> None:
    said = in_two(command(model, data, tmp_path / "two"))
    assert "NDCG@10 of 12 queries" in said
    report = json.loads((tmp_path / "two" / REPORT).read_text())
    assert report["processes"] == 2
    assert report["found"]["after"] > report["found"]["before"]

    alone = subprocess.Popen(
        [sys.executable, *command(model, data, tmp_path / "killed", "--steps", "3000")],
        cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    state = tmp_path / "killed" / steps.STATE
    while not state.exists():
        assert alone.poll() is None
    alone.send_signal(signal.SIGKILL)
    alone.wait()
    assert torch.load(state, weights_only=True)["progress"]["step"] >= 4


def test_two_processes_distil_together(data: Path, tmp_path: Path) -> None:
    model = small.checkpoint(tmp_path / "small", spread=0.2)
    in_two(
        [
            "-m", "training", "distil", str(data), "--model", str(model), "--layers", "1",
            "--rate", "0.005", "--out", str(tmp_path), "--steps", "8",
            "--batch", "8", "--part", "4", "--look", "4", "--tolerance", "1",
        ]
    )  # fmt: skip
    found = json.loads((tmp_path / distilling.REPORT).read_text())["found"]
    assert found["after"]["cosine"] >= found["pruned"]["cosine"]
    # Both learned the same from what both were given.
    one, two = (
        torch.load(tmp_path / f"{rank}-{steps.STATE}", weights_only=True)["weights"]
        for rank in range(2)
    )
    assert all(torch.equal(one[name], two[name]) for name in one)
