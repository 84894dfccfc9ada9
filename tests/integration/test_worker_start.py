"""What the worker refuses to start with, each in one line that says why."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from longtail.worker.artefact import GRAPH, MANIFEST

from tests import processes

pytestmark = pytest.mark.model


def test_a_corrupted_artefact_is_refused_in_one_line(tmp_path: Path, artefact: Path) -> None:
    broken = Path(shutil.copytree(artefact, tmp_path / "broken"))
    with (broken / GRAPH).open("r+b") as graph:
        graph.seek(1_000_000)
        byte = graph.read(1)
        graph.seek(1_000_000)
        graph.write(bytes([byte[0] ^ 1]))
    assert f"{broken / GRAPH}: sha256 is" in failed(tmp_path, LONGTAIL_MODEL=str(broken))


def test_an_encoder_that_breaks_its_promise_is_not_served(tmp_path: Path, artefact: Path) -> None:
    broken = Path(shutil.copytree(artefact, tmp_path / "broken"))
    document = json.loads((broken / MANIFEST).read_text())
    golden = document["golden"]
    golden[0]["vector"], golden[2]["vector"] = golden[2]["vector"], golden[0]["vector"]
    (broken / MANIFEST).write_text(json.dumps(document))
    assert "golden query" in failed(tmp_path, LONGTAIL_MODEL=str(broken))


def test_a_missing_artefact_is_named(tmp_path: Path) -> None:
    assert "nowhere/manifest.json" in failed(tmp_path, LONGTAIL_MODEL="nowhere")


def test_a_setting_of_no_use_is_named(tmp_path: Path) -> None:
    line = failed(tmp_path, code=2, LONGTAIL_WORKER_DEVICE="tpu")
    assert "LONGTAIL_WORKER_DEVICE='tpu'" in line


def test_cuda_without_a_gpu_fails_instead_of_crawling(tmp_path: Path, artefact: Path) -> None:
    if shutil.which("nvidia-smi"):
        pytest.skip("this machine has a GPU")
    line = failed(tmp_path, LONGTAIL_MODEL=str(artefact), LONGTAIL_WORKER_DEVICE="cuda")
    assert "CUDAExecutionProvider cannot be used" in line


def test_a_gpu_that_is_not_there_is_refused(tmp_path: Path, artefact: Path) -> None:
    line = failed(tmp_path, LONGTAIL_MODEL=str(artefact), LONGTAIL_WORKER_DEVICE="cuda:99")
    assert "CUDAExecutionProvider cannot be used" in line


def test_help_lists_every_setting(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "longtail.worker", "--help"]
    shown = subprocess.run(
        command,
        cwd=processes.ROOT,
        env=processes.environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--worker-batch-tokens VALUE" in shown.stdout


def failed(home: Path, *, code: int = 1, **variables: str) -> str:
    """Run a worker that must not start; return the last line it leaves."""
    environment = processes.environment(home, **variables)
    process = processes.start("longtail.worker", home / "failed.log", environment)
    assert process.wait(60) == code
    log = (home / "failed.log").read_text()
    assert "Traceback" not in log
    return log.splitlines()[-1]
