"""From checkpoint to artefact: all is made and measured beside OUT, which appears at the end."""

import importlib.metadata
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

import onnx
import tokenizers
from tokenizers import normalizers
from transformers import PreTrainedTokenizerFast

from export import checkpoint as checkpoints
from export import graph, parity
from export.checkpoint import Checkpoint
from export.errors import ExportError
from export.parity import Gate
from export.reference import Reference
from worker import model as worker_model
from worker.artefact import (
    GRAPH,
    MANIFEST,
    TOKENIZER,
    Artefact,
    Golden,
    Manifest,
    Parity,
    file_sha256,
    load,
    model_id,
    write_manifest,
)
from worker.model import Device
from worker.tokenizer import Role, Tokenizer

logger = logging.getLogger(__name__)

_TOOLS = (
    "onnx",
    "onnxruntime-gpu",
    "optimum",
    "optimum-onnx",
    "tokenizers",
    "torch",
    "transformers",
)
# Short and long, plain and not: what a wrong tokenizer, prompt or graph would get wrong.
_GOLDEN_TEXTS = (
    "a quiet film about two brothers",
    "Käse, naïve façades & 東京 🎈: 3.14159 — don't!",
    "Small shops sell what big shops do not keep. " * 12,
)


def build(model: str, out: Path, texts: Sequence[str], gate: Gate) -> Artefact:
    """Export `model` into the folder `out`; raise ExportError and leave `out` as it was on failure.

    `texts` are those that parity is measured on; `gate` says how good it must be.
    """
    if out.exists() and not (out / MANIFEST).exists():
        raise ExportError(f"{out}: exists and is no artefact; it is not replaced")
    checkpoint = checkpoints.read(model)
    logger.info(
        "read %s: %s, %d tokens", checkpoint.source, checkpoint.pooling.name, checkpoint.max_tokens
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as temporary:
        folder = Path(temporary) / "artefact"
        folder.mkdir()
        artefact = _build(checkpoint, folder, texts, gate)
        # What is verified here is what a worker will verify.
        load(folder)
        if out.exists():
            out.rename(Path(temporary) / "replaced")
        folder.rename(out)
    return Artefact(out, artefact.manifest)


def _build(checkpoint: Checkpoint, folder: Path, texts: Sequence[str], gate: Gate) -> Artefact:
    reference = Reference(checkpoint)
    _write_tokenizer(reference.tokenizer, checkpoint, folder / TOKENIZER)
    onnx.save(graph.build(reference.model, checkpoint.pooling, folder), folder / GRAPH)
    logger.info("wrote the graph, %.1f MB", (folder / GRAPH).stat().st_size / 1e6)

    # The production code wants a manifest; parity and golden vectors are what it is wanted for.
    draft = Artefact(folder, _manifest(checkpoint, reference, folder, Parity(1, 0, 0, 0), ()))
    encoder, tokenizer = worker_model.load(draft, Device.CPU), Tokenizer(draft)
    logger.info("measuring parity on %d texts", len(texts))
    measured = parity.measure(
        parity.encode(encoder, tokenizer, texts, Role.ITEM), reference.encode(texts)
    )
    gate.check(measured)
    golden = [
        Golden(text, role.value, vector)
        for role in Role
        for text in _GOLDEN_TEXTS
        for vector in parity.encode(encoder, tokenizer, [text], role)
    ]
    manifest = _manifest(checkpoint, reference, folder, measured, golden)
    write_manifest(folder, manifest)
    return Artefact(folder, manifest)


def _write_tokenizer(
    tokenizer: PreTrainedTokenizerFast, checkpoint: Checkpoint, path: Path
) -> None:
    backend = tokenizers.Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    # Both belong to the worker: it pads each batch by itself and cuts at max_tokens.
    backend.no_padding()
    backend.no_truncation()
    if checkpoint.lower_case:
        steps = [normalizers.Lowercase(), *filter(None, [backend.normalizer])]
        backend.normalizer = normalizers.Sequence(steps)
    backend.save(str(path))


def _manifest(
    checkpoint: Checkpoint,
    reference: Reference,
    folder: Path,
    measured: Parity,
    golden: Sequence[Golden],
) -> Manifest:
    files = {name: file_sha256(folder / name) for name in (GRAPH, TOKENIZER)}
    return Manifest(
        model_id=model_id(
            checkpoint.name,
            prompts=checkpoint.prompts,
            max_tokens=checkpoint.max_tokens,
            files=files,
        ),
        source=checkpoint.source,
        source_sha256=checkpoints.weights_sha256(checkpoint),
        dimension=reference.model.config.hidden_size,
        max_tokens=checkpoint.max_tokens,
        pooling=checkpoint.pooling.name.lower(),
        precision=graph.PRECISION,
        prompts=checkpoint.prompts,
        files=files,
        tools={name: importlib.metadata.version(name) for name in _TOOLS},
        parity=measured,
        golden=golden,
    )
