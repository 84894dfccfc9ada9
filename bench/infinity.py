"""infinity (https://github.com/michaelfeil/infinity) with its ONNX engine and an int8 model.

It serves the same checkpoint, quantised dynamically per channel, on loopback.
"""

import base64
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from longtail.export import checkpoint as checkpoints
from longtail.export.checkpoint import Checkpoint, Pooling
from longtail.worker.vectors import Vectors

from bench import environments, processes
from bench.closed_loop import http_posts
from bench.figures import NotRun
from bench.processes import free_address, listens, running, wait_until

PATH = "/embeddings"
_MODEL = "encoder"
# infinity takes the file whose name says that it is quantised.
_GRAPH = Path("onnx", "model_quantized.onnx")
_POOLING = {Pooling.MEAN: "mean", Pooling.CLS: "cls"}


@contextmanager
def serving(checkpoint: Checkpoint, out: Path, say: Callable[[str], None]) -> Iterator[str]:
    """Run infinity with its own defaults on `checkpoint`; yield its address (host:port).

    Raises NotRun when it cannot be installed or does not start.
    """
    if checkpoint.pooling not in _POOLING:
        raise NotRun(f"infinity cannot pool by {checkpoint.pooling.name.lower()}")
    programs = environments.prepare("infinity", out, say)
    address = free_address()
    host, _, port = address.rpartition(":")
    command = [str(programs / "infinity_emb"), "v2", "--host", host, "--port", port]
    command += ["--model-id", str(_folder(checkpoint, programs, out, say))]
    command += ["--served-model-name", _MODEL, "--engine", "optimum", "--device", "cpu"]
    command += ["--pooling-method", _POOLING[checkpoint.pooling], "--no-trust-remote-code"]
    # A line of log for each request would count against it.
    command += ["--log-level", "error"]
    log = out / "infinity.log"
    say("starting infinity")
    with running(command, environments.their_environment(), log) as process:
        wait_until(lambda: listens(address), process, log)
        yield address


def bodies_of(texts: Sequence[str]) -> list[bytes]:
    """Return a request body for each text; base64 is what costs infinity the least."""
    return [
        json.dumps({"model": _MODEL, "input": [text], "encoding_format": "base64"}).encode()
        for text in texts
    ]


def vectors_of(address: str, texts: Sequence[str]) -> Vectors:
    """Return (texts, dimension) vectors, to see that infinity serves the same encoder."""
    answers = http_posts(address, PATH, bodies_of(texts), callers=1, keep_answers=True).answers
    rows = [json.loads(answer)["data"][0]["embedding"] for _, answer in answers]
    return np.stack([np.frombuffer(base64.b64decode(row), "<f4") for row in rows])


def _folder(checkpoint: Checkpoint, programs: Path, out: Path, say: Callable[[str], None]) -> Path:
    """Return the folder of the model, which is made when it is not there."""
    folder = out / f"infinity-{checkpoints.weights_sha256(checkpoint)[:12]}"
    if folder.exists():
        return folder
    say("making the int8 model for infinity")
    with tempfile.TemporaryDirectory(dir=out) as temporary:
        plain, made = Path(temporary) / "fp32.onnx", Path(temporary) / "made"
        (made / _GRAPH).parent.mkdir(parents=True)
        export = [sys.executable, "-m", "bench.fp32_graph", str(checkpoint.folder), str(plain)]
        environments.run(export, processes.our_environment())
        script = environments.FOREIGN / "int8_graph.py"
        command = [str(programs / "python"), "-I", str(script), str(plain), str(made / _GRAPH)]
        environments.run(command, environments.their_environment())
        for path in checkpoint.folder.iterdir():
            if path.suffix in (".json", ".txt"):
                shutil.copy(path, made)
        made.rename(folder)
    return folder
