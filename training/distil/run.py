"""`python -m training distil`: fewer layers that do what all of them did, or nothing.

What is written is a checkpoint like the one that it began with, which `longtail-export` takes.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from longtail.export import checkpoint as checkpoints
from longtail.export import parity, pruning
from longtail.server.write.encoding import text_to_encode
from longtail.worker.tokenizer import Role
from longtail.worker.vectors import Vectors

from evaluation.dataset import DatasetError, read_items
from evaluation.query_source import holds_queries, read_queries
from training.adapt.judging import Judgement, judgement
from training.curve import DECIMALS, Curve
from training.distil.student import Student
from training.reading import Reading
from training.steps import Plan, Progress, learn

CHECKPOINT, REPORT, LOG = "checkpoint", "distil.json", "distil.csv"
# By this share queries may become worse than by the whole encoder, and no more.
TOLERANCE = 0.05
# Of nothing in a tenth of the texts anything is learned, nor in more than so many: half of them say
# when to stop, half judge.
HELD_OUT, LEAST = 1_000, 40
# Queries that judge, at most, and items beside the relevant ones.
QUERIES, OTHERS = 300, 1_000


@dataclass(frozen=True)
class Recipe:
    """How many layers are left, and how they learn."""

    layers: int
    max_tokens: int = 64
    tolerance: float = TOLERANCE
    plan: Plan = field(default_factory=lambda: Plan(200, batch=32, rate=2e-4))


@dataclass(frozen=True)
class Figures:
    """How near to the vectors of all layers are those of texts that nothing was learned from.

    `cosine` is the mean, `neighbours` the share of the ten nearest that are the same, and `ndcg`
    the NDCG@10 of queries, None where the data have none. `seconds` is what all of it took.
    """

    cosine: float
    neighbours: float
    ndcg: float | None
    seconds: float


@dataclass(frozen=True)
class Distilled:
    """`whole`, `pruned` and `after`: figures of all layers, of those kept, and as they learned.

    `layers`: how many there were, and are. `taken`: whether they came nearer, and queries became no
    worse than is tolerated, so that a checkpoint was written.
    """

    whole: Figures
    pruned: Figures
    after: Figures
    layers: tuple[int, int]
    best_step: int
    seconds: float
    taken: bool


@dataclass(frozen=True)
class _Material:
    """Texts to learn from, each with its role, some that say when to stop, and what judges."""

    learned: Sequence[tuple[Sequence[str], Role]]
    stop: Sequence[str]
    last: Sequence[str]
    queries: Judgement | None


def distil(
    model: str,
    data: Path,
    out: Path,
    recipe: Recipe,
    accelerator: Accelerator,
    tell: Callable[[Progress], None],
) -> Distilled:
    """Distil the checkpoint `model` on the texts of `data`; leave what came of it in `out`.

    Goes on where it was interrupted. Raises DatasetError, ExportError, and StateError.
    """
    out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    checkpoint = checkpoints.read(model)
    material = _material(data, recipe.plan.seed)
    reading = Reading(checkpoint, recipe.max_tokens)
    teacher = reading.model
    student = Student(reading, recipe.layers, material.learned[0][0])
    for each in (teacher, student.model):
        each.to(accelerator.device)
    wanted, last = (
        reading.encode(teacher, texts, Role.ITEM) for texts in (material.stop, material.last)
    )
    curve = Curve(out / LOG, "cosine")

    def judge(progress: Progress) -> float:
        found = reading.encode(student.model, material.stop, Role.ITEM)
        score = parity.measure(found, wanted).cosine_mean
        if accelerator.is_main_process:
            curve.add(progress, score, time.monotonic() - started)
        return score

    def take(step: int, random: np.random.Generator) -> float:
        # In turn, so that short texts, as queries are, are learned as well.
        texts, role = material.learned[step % len(material.learned)]
        drawn = random.integers(len(texts), size=recipe.plan.batch)
        return student.follow([texts[at] for at in drawn], role, recipe.plan.part, accelerator)

    whole = _figures(reading, teacher, material, last)
    pruned = _figures(reading, student.model, material, last)
    what = json.dumps(
        [
            checkpoints.weights_sha256(checkpoint),
            *material.stop[:8],
            recipe.layers,
            recipe.max_tokens,
        ]
    )
    done = learn(student, take, recipe.plan, out, what, judge, tell, accelerator)
    after = _figures(reading, student.model, material, last)
    found = Distilled(
        whole=whole,
        pruned=pruned,
        after=after,
        layers=(pruning.layers(teacher), recipe.layers),
        best_step=done.best_step,
        seconds=round(time.monotonic() - started, 1),
        taken=bool(done.best_step)
        and (
            whole.ndcg is None
            or after.ndcg is None
            or after.ndcg >= (1 - recipe.tolerance) * whole.ndcg
        ),
    )
    if accelerator.is_main_process:
        if found.taken:
            reading.write(student.model, out / CHECKPOINT)
        report = {"model": model, "recipe": asdict(recipe), "found": asdict(found)}
        (out / REPORT).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return found


def _material(data: Path, seed: int) -> _Material:
    found = read_items(data)
    items = [
        text_to_encode(title, text) for title, text in zip(found.titles, found.texts, strict=True)
    ]
    random = np.random.default_rng(seed)
    different = [text for text in dict.fromkeys(items) if text.strip()]
    if len(different) < LEAST:
        raise DatasetError(f"{data}: has {len(different)} different texts, and {LEAST} are least")
    order = random.permutation(len(different))
    held = min(HELD_OUT, len(order) // 10) // 2
    stop, last, learned = (
        [different[at] for at in part]
        for part in (order[:held], order[held : 2 * held], order[2 * held :])
    )
    # Asked for as queries, as `adapt` asks for them.
    titles = [title for title in dict.fromkeys(found.titles) if title.strip()]
    sides = [(learned, Role.ITEM), (titles, Role.QUERY)]
    queries = None
    if holds_queries(data):
        said = read_queries(data, found.ids)
        chosen = np.sort(random.permutation(len(said.ids))[:QUERIES])
        queries = judgement(said, chosen, items, OTHERS, random)
    return _Material([side for side in sides if side[0]], stop, last, queries)


def _figures(
    reading: Reading, model: torch.nn.Module, material: _Material, wanted: Vectors
) -> Figures:
    """Return the figures of a model; `wanted` are all layers' vectors of the last texts."""

    def encode(texts: Sequence[str], role: Role) -> Vectors:
        return reading.encode(model, texts, role)

    started = time.monotonic()
    near = parity.measure(encode(material.last, Role.ITEM), wanted)
    ndcg = None if material.queries is None else float(material.queries.scores(encode).mean())
    return Figures(
        cosine=round(near.cosine_mean, DECIMALS),
        neighbours=round(near.top10_overlap, DECIMALS),
        ndcg=None if ndcg is None else round(ndcg, DECIMALS),
        seconds=round(time.monotonic() - started, 2),
    )
