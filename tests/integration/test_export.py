"""The export as its users run it: the command, its exit code, its one line, and what it leaves."""

import os
import subprocess
import sys
from pathlib import Path

import grpc
import numpy as np
import pytest
from longtail.v1 import embedding_service_pb2 as pb
from longtail.v1.embedding_service_pb2_grpc import EmbeddingServiceStub

from tests import processes
from tests.unit.export import checkpoints


def export(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    # Nothing here may reach for the network.
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "longtail.export", *map(str, arguments)]
    return subprocess.run(
        command, cwd=processes.ROOT, env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(checkpoints.TEXTS))
    return path


@pytest.mark.slow
def test_an_exported_checkpoint_can_be_served(tmp_path: Path, texts: Path) -> None:
    folder = checkpoints.write(tmp_path / "tiny", prompts=checkpoints.PROMPTS)
    out = tmp_path / "models" / "tiny"
    done = export(folder, out, "--texts", texts, "--min-overlap", "0")
    assert done.returncode == 0, done.stderr
    assert "parity on 4 texts: cosine 0.99" in done.stderr or "cosine 1.0" in done.stderr
    assert str(out) in done.stderr.splitlines()[-1]
    assert "Warning" not in done.stderr
    with (
        processes.worker(tmp_path, out) as worker,
        grpc.insecure_channel(worker.address) as channel,
    ):
        stub = EmbeddingServiceStub(channel)
        model = stub.GetModel(pb.GetModelRequest(), timeout=10).model
        reply = stub.Embed(pb.EmbedRequest(texts=["old maps"], role=pb.ROLE_ITEM), timeout=10)
    assert model.model_id.startswith("tiny@")
    assert (model.prompts.query, model.prompts.item) == ("find the ", "about the ")
    assert np.linalg.norm(np.frombuffer(reply.vectors, "<f4")) == pytest.approx(1)


@pytest.mark.slow
def test_a_checkpoint_that_is_nowhere_is_one_line(tmp_path: Path, texts: Path) -> None:
    done = export("nobody/nothing", tmp_path / "out", "--texts", texts)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("export failed: nobody/nothing: not a folder")
    assert "Traceback" not in done.stderr
