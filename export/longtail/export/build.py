"""From checkpoint to artefact: all is made and measured beside OUT, which appears at the end."""

import importlib.metadata
import logging
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx
from longtail.export import checkpoint as checkpoints
from longtail.export import cost, fp32, parity, precision, reduction
from longtail.export.checkpoint import Checkpoint
from longtail.export.draft import Draft
from longtail.export.errors import ExportError
from longtail.export.parity import Gate
from longtail.export.precision import Graphs, Precision
from longtail.export.reduction import Reduced, Wanted
from longtail.export.reference import Reference
from longtail.export.texts import Sample
from longtail.worker.artefact import (
    GRAPH,
    MANIFEST,
    TOKENIZER,
    Artefact,
    Golden,
    Manifest,
    Parity,
    Reduction,
    file_sha256,
    load,
    model_id,
    write_manifest,
)
from longtail.worker.model import Encoder
from longtail.worker.tokenizer import Role

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
_TIMED = 200


@dataclass(frozen=True)
class Options:
    """How to export; without a precision, in the best one for this processor."""

    gate: Gate
    precision: Precision | None = None
    wanted: Wanted = field(default_factory=Wanted)


@dataclass(frozen=True)
class _Measured:
    """What is known of an artefact beside its files."""

    parity: Parity
    reduction: Reduction | None
    golden: Sequence[Golden]


def build(model: str, out: Path, sample: Sample, options: Options) -> Artefact:
    """Export `model` into the folder `out`; raise ExportError and leave `out` as it was on failure.

    Scales are calibrated on one part of `sample`, parity is measured on the other.
    """
    if out.exists() and not (out / MANIFEST).exists():
        raise ExportError(f"{out}: exists and is no artefact; it is not replaced")
    checkpoint = checkpoints.read(model)
    logger.info(
        "read %s: %s, %d tokens", checkpoint.source, checkpoint.pooling.name, checkpoint.max_tokens
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as temporary:
        folder = _build(checkpoint, Path(temporary), sample, options)
        # What is verified here is what a worker will verify.
        artefact = load(folder)
        if out.exists():
            out.rename(Path(temporary) / "replaced")
        folder.rename(out)
    return Artefact(out, artefact.manifest)


def _build(checkpoint: Checkpoint, scratch: Path, sample: Sample, options: Options) -> Path:
    """Return the artefact's folder, under `scratch`."""
    whole = Reference(checkpoint)
    draft = Draft(checkpoint, whole.tokenizer, scratch)
    reduced = reduction.reduce(whole, checkpoint, options.wanted, sample.calibration)
    chosen = options.precision or precision.choose(reduced.reference.model)
    logger.info("building the graph in %s", chosen.value)
    graphs = precision.build(
        chosen,
        reduced.reference.model,
        checkpoint.pooling,
        max_tokens=checkpoint.max_tokens,
        calibration_texts=draft.ids(sample.calibration),
        folder=scratch,
    )
    graphs = Graphs(reduced.shorten(graphs.served), reduced.shorten(graphs.measured))
    folder = scratch / "artefact"
    folder.mkdir()
    onnx.save(graphs.served, folder / GRAPH)
    shutil.copy(draft.tokenizer_file, folder / TOKENIZER)
    logger.info("wrote the graph, %.1f MB", (folder / GRAPH).stat().st_size / 1e6)

    logger.info("measuring parity on %d texts", len(sample.measured))
    measured = _measure(graphs, draft, reduced, sample.measured, options.gate, scratch)
    calibrated = len(sample.calibration) if chosen is Precision.ROW_INT8 else 0
    write_manifest(folder, _manifest(checkpoint, reduced, chosen, calibrated, folder, measured))
    return folder


def _measure(
    graphs: Graphs,
    draft: Draft,
    reduced: Reduced,
    texts: Sequence[str],
    gate: Gate,
    scratch: Path,
) -> _Measured:
    encoder = draft.encoder(graphs.measured)
    vectors = parity.encode(encoder, draft.tokenizer, texts, Role.ITEM)
    near = parity.measure(vectors, reduced.encode(texts))
    # What is not near enough is not worth the rest.
    gate.check(near)
    smaller = None
    if reduced.is_smaller:
        lost = parity.measure(reduced.lift(vectors), reduced.whole.encode(texts))
        smaller = Reduction(
            layers=reduced.layers,
            whole_layers=reduced.whole_layers,
            dimension=reduced.dimension,
            whole_dimension=reduced.whole.dimension,
            cosine_mean=lost.cosine_mean,
            top10_overlap=lost.top10_overlap,
            speedup=_speedup(draft, reduced, texts[:_TIMED], scratch),
        )
    golden = [
        Golden(text, role.value, vector)
        for role in Role
        for text in _GOLDEN_TEXTS
        for vector in parity.encode(encoder, draft.tokenizer, [text], role)
    ]
    return _Measured(near, smaller, golden)


def _speedup(draft: Draft, reduced: Reduced, texts: Sequence[str], scratch: Path) -> float:
    def encoder(reference: Reference) -> Encoder:
        return draft.encoder(fp32.build(reference.model, reduced.pooling, scratch))

    before, after = encoder(reduced.whole), encoder(reduced.reference)
    return cost.compare(before.encode, after.encode, draft.ids(texts)).speedup


def _manifest(
    checkpoint: Checkpoint,
    reduced: Reduced,
    chosen: Precision,
    calibrated: int,
    folder: Path,
    measured: _Measured,
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
        dimension=reduced.dimension,
        max_tokens=checkpoint.max_tokens,
        pooling=checkpoint.pooling.name.lower(),
        precision=chosen.value,
        prompts=checkpoint.prompts,
        files=files,
        tools={name: importlib.metadata.version(name) for name in _TOOLS},
        calibration_texts=calibrated,
        parity=measured.parity,
        reduction=measured.reduction,
        golden=measured.golden,
    )
