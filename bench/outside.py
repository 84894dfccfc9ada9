"""infinity and sentence-transformers as their users run them, each in an environment of its own.

Theirs and ours need different versions of the same libraries. `foreign/` has the pinned lists, and
what runs in there.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from longtail.export import checkpoint as checkpoints
from longtail.export.checkpoint import Checkpoint, Pooling
from longtail.worker.vectors import Vectors

from bench.figures import NotRun
from bench.load import http_posts
from bench.processes import (
    free_address,
    last_line,
    listens,
    our_environment,
    running,
    stop,
    wait_until,
)

FOREIGN = Path(__file__).parent / "foreign"
PATH = "/embeddings"
_MODEL = "encoder"
# infinity takes the file whose name says that it is quantised.
_GRAPH = Path("onnx", "model_quantized.onnx")
_POOLING = {Pooling.MEAN: "mean", Pooling.CLS: "cls"}

Say = Callable[[str], None]


@contextmanager
def infinity(checkpoint: Checkpoint, out: Path, say: Say) -> Iterator[str]:
    """Run infinity's ONNX engine on `checkpoint` in int8, dynamic per channel; yield host:port.

    Raises NotRun when it cannot be installed or does not start.
    """
    if checkpoint.pooling not in _POOLING:
        raise NotRun(f"infinity cannot pool by {checkpoint.pooling.name.lower()}")
    programs = prepare("infinity", out, say)
    address, log = free_address(), out / "infinity.log"
    host, _, port = address.rpartition(":")
    command = [str(programs / "infinity_emb"), "v2", "--host", host, "--port", port]
    command += ["--model-id", str(_quantised(checkpoint, programs, out, say))]
    command += ["--served-model-name", _MODEL, "--engine", "optimum", "--device", "cpu"]
    command += ["--pooling-method", _POOLING[checkpoint.pooling], "--no-trust-remote-code"]
    # A line of log for each request would count against it.
    command += ["--log-level", "error"]
    with running(command, their_environment(), log) as process:
        wait_until(lambda: listens(address), process, log)
        yield address


def bodies_of(texts: Sequence[str]) -> list[bytes]:
    """Return a request body for each text; base64 is what costs infinity the least."""
    return [
        json.dumps({"model": _MODEL, "input": [text], "encoding_format": "base64"}).encode()
        for text in texts
    ]


def vectors_of(address: str, texts: Sequence[str]) -> Vectors:
    """Return infinity's (texts, dimension) vectors, to see that it serves the same encoder."""
    answers = http_posts(address, PATH, bodies_of(texts), callers=1, keep_answers=True).answers
    rows = [json.loads(answer)["data"][0]["embedding"] for _, answer in answers]
    return np.stack([np.frombuffer(base64.b64decode(row), "<f4") for row in rows])


@contextmanager
def transformers(
    checkpoint: Path, out: Path, say: Say
) -> Iterator[Callable[[Sequence[str]], float]]:
    """Load the checkpoint; what is yielded encodes texts and returns the seconds it took.

    Raises NotRun when it cannot be installed or does not start.
    """
    programs, log = prepare("sentence-transformers", out, say), out / "sentence-transformers.log"
    script = [str(FOREIGN / "encode.py"), str(checkpoint.resolve())]
    with log.open("wb") as errors:
        process = subprocess.Popen(  # noqa: S603  # built by us
            [str(programs / "python"), "-I", *script],
            env=their_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018  # for the type checker: both are pipes
        requests, answers = process.stdin, process.stdout

        def answer() -> str:
            line = answers.readline()
            if not line:
                raise NotRun(f"sentence-transformers failed: {last_line(log.read_text())}")
            return line

        def encode(texts: Sequence[str]) -> float:
            requests.write(json.dumps(list(texts)) + "\n")
            requests.flush()
            return float(answer())

        try:
            # It says so when it is ready.
            answer()
            yield encode
        finally:
            stop(process)


def prepare(name: str, out: Path, say: Say) -> Path:
    """Return the folder of the programs of environment `name`, made of foreign/`name`.txt.

    Raises NotRun when it cannot be made.
    """
    folder, pinned = out / f"env-{name}", FOREIGN / f"{name}.txt"
    # Written last: an environment without it is half made.
    complete = folder / ".complete"
    if not complete.exists() or complete.read_text() != pinned.read_text():
        say(f"installing {name} into {folder}; this takes minutes")
        shutil.rmtree(folder, ignore_errors=True)
        run([sys.executable, "-m", "venv", str(folder)], their_environment())
        # The list is complete, so there is nothing to resolve.
        install = ["install", "--quiet", "--no-deps", "--requirement", str(pinned)]
        run([str(folder / "bin" / "python"), "-m", "pip", *install], their_environment())
        shutil.copy(pinned, complete)
    return folder / "bin"


def run(command: Sequence[str], variables: Mapping[str, str]) -> None:
    """Run a command to its end; raise NotRun with what it said last when it fails."""
    result = subprocess.run(  # noqa: S603  # built by us
        command, env=dict(variables), capture_output=True, text=True, errors="replace", check=False
    )
    if result.returncode:
        raise NotRun(f"{' '.join(command[:4])}... failed: {last_line(result.stderr)}")


def their_environment() -> dict[str, str]:
    """Return variables for their programs: no Python paths of ours, and nothing is reported."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    silent = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0"}
    return {**inherited, **silent}


def _quantised(checkpoint: Checkpoint, programs: Path, out: Path, say: Say) -> Path:
    """Return the folder of infinity's model, which is made when it is not there."""
    folder = out / f"infinity-{checkpoints.weights_sha256(checkpoint)[:12]}"
    if folder.exists():
        return folder
    say("making the int8 model for infinity")
    with tempfile.TemporaryDirectory(dir=out) as temporary:
        plain, made = Path(temporary) / "fp32.onnx", Path(temporary) / "made"
        (made / _GRAPH).parent.mkdir(parents=True)
        # A process of its own, which takes torch with it when it ends.
        script = [str(FOREIGN / "fp32_graph.py"), str(checkpoint.folder), str(plain)]
        run([sys.executable, *script], our_environment())
        script = [str(FOREIGN / "int8_graph.py"), str(plain), str(made / _GRAPH)]
        run([str(programs / "python"), "-I", *script], their_environment())
        for path in checkpoint.folder.iterdir():
            if path.suffix in (".json", ".txt"):
                shutil.copy(path, made)
        made.rename(folder)
    return folder
