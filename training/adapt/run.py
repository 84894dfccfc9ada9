"""`python -m training adapt`: an encoder that knows a catalogue's words, or none where it does not.

What is written is a checkpoint like the one that it began with, which `longtail-export` takes.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from longtail.export import checkpoint as checkpoints
from longtail.server.ranking.head.pairs import TAIL_WEIGHT, Likes
from longtail.server.write.encoding import text_to_encode
from longtail.worker.tokenizer import Role
from numpy.typing import NDArray

from evaluation.dataset import DatasetError, has_people, holds
from evaluation.opinions import Opinions, read_opinions
from evaluation.query_source import (
    PSEUDO,
    Queries,
    holds_queries,
    read_pseudo_queries,
    read_queries,
)
from evaluation.significance import UserBootstrap, estimate
from training.adapt.contrast import contrast
from training.adapt.encoder import AdaptedEncoder, Kind
from training.adapt.judging import Judgement, judgement, parts_of
from training.adapt.objective import Objective
from training.adapt.tasks import (
    Task,
    of_descriptions,
    of_dropout,
    of_likes,
    of_queries,
    of_views,
)
from training.curve import DECIMALS, Curve
from training.steps import Plan, Progress, learn

CHECKPOINT, REPORT, LOG = "checkpoint", "adapt.json", "adapt.csv"
TASKS = ("queries", "pseudo", "descriptions", "likes", "dropout", "views")
# While it learns, it is looked at over so many items beside the relevant ones; in the end over all.
OTHERS = 1_000
# By this share queries that were not learned from may become worse, and no more.
TOLERANCE = 0.02
RESAMPLES = 5_000


@dataclass(frozen=True)
class Recipe:
    """What is learned, and how."""

    tasks: Sequence[str] = ("queries", "descriptions", "likes")
    kind: Kind = Kind.LORA
    rank: int = 16
    max_tokens: int = 64
    min_rating: float | None = None
    tolerance: float = TOLERANCE
    objective: Objective = field(default_factory=Objective)
    plan: Plan = field(default_factory=lambda: Plan(200))


@dataclass(frozen=True)
class Adapted:
    """`before` and `after`: NDCG@10 of the queries that judge. `interval` of the difference.

    `taken`: whether they became no worse than is tolerated, so that a checkpoint was written.
    """

    before: float
    after: float
    interval: tuple[float, float]
    queries: int
    best_step: int
    seconds: float
    taken: bool


@dataclass(frozen=True)
class _Material:
    items: Sequence[str]
    queries: Queries
    tasks: Sequence[Task]
    stop: Judgement
    last: Judgement


def adapt(
    model: str,
    data: Path,
    out: Path,
    recipe: Recipe,
    accelerator: Accelerator,
    tell: Callable[[Progress], None],
) -> Adapted:
    """Adapt the checkpoint `model` to the folder `data`; leave a checkpoint and figures in `out`.

    Goes on where it was interrupted. Raises DatasetError, ExportError, and StateError.
    """
    out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    checkpoint = checkpoints.read(model)
    material = _material(data, recipe)
    encoder = AdaptedEncoder(
        checkpoint,
        recipe.kind,
        recipe.rank,
        recipe.plan.steps,
        recipe.max_tokens,
        recipe.plan.seed,
    )
    encoder.model.to(accelerator.device)
    encoder.remember(material.items, Role.ITEM)
    encoder.remember(material.queries.texts, Role.QUERY)
    before = material.last.scores(encoder.before)
    curve = Curve(out / LOG, "query_ndcg")

    def judge(progress: Progress) -> float:
        encode = encoder.encode if progress.step else encoder.before
        score = float(material.stop.scores(encode).mean())
        if accelerator.is_main_process:
            curve.add(progress, score, time.monotonic() - started)
        return score

    def take(step: int, random: np.random.Generator) -> float:
        task = material.tasks[step % len(material.tasks)]
        batch = task.draw(random, recipe.plan.batch)
        return contrast(encoder, batch, recipe.objective, recipe.plan.part, accelerator)

    what = _what(checkpoint, material, recipe)
    done = learn(encoder, take, recipe.plan, out, what, judge, tell, accelerator)
    after = material.last.scores(encoder.encode)
    found = Adapted(
        before=round(float(before.mean()), DECIMALS),
        after=round(float(after.mean()), DECIMALS),
        interval=_interval(after - before, recipe.plan.seed),
        queries=len(before),
        best_step=done.best_step,
        seconds=round(time.monotonic() - started, 1),
        taken=bool(done.best_step and after.mean() >= (1 - recipe.tolerance) * before.mean()),
    )
    if accelerator.is_main_process:
        if found.taken:
            encoder.write(out / CHECKPOINT)
        report = {
            "model": model,
            "recipe": asdict(recipe),
            "processes": accelerator.num_processes,
            "found": asdict(found),
        }
        (out / REPORT).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return found


def _material(data: Path, recipe: Recipe) -> _Material:
    opinions = read_opinions(data, recipe.min_rating)
    found = opinions.data
    if not holds_queries(data):
        raise DatasetError(
            f"{data}: has no queries, which say whether an encoder became better: give queries.csv "
            "with relevance.csv, or rows that have a query and an item"
        )
    queries = read_queries(data, found.item_ids)
    if len(queries.ids) < 10:
        raise DatasetError(f"{data}: has {len(queries.ids)} queries, and 10 are the least")
    items = [
        text_to_encode(title, text) for title, text in zip(found.titles, found.texts, strict=True)
    ]
    random = np.random.default_rng(recipe.plan.seed)
    learned, stop, last = parts_of(queries, random)
    tasks = [
        task
        for name in recipe.tasks
        if (task := _task(name, data, opinions, items, queries, learned)) is not None
    ]
    if not tasks:
        raise DatasetError(f"{data}: has nothing to learn {' and '.join(recipe.tasks)} from")
    return _Material(
        items,
        queries,
        tasks,
        judgement(queries, stop, items, OTHERS, random),
        judgement(queries, last, items, len(items), random),
    )


def _task(
    name: str,
    folder: Path,
    opinions: Opinions,
    items: Sequence[str],
    queries: Queries,
    learned: NDArray[np.int64],
) -> Task | None:
    """Return the task of a name, None where the data have nothing for it."""
    data = opinions.data
    match name:
        case "queries":
            rows = np.flatnonzero(np.isin(queries.queries, learned))
            return of_queries(queries.texts, items, queries.queries[rows], queries.items[rows])
        case "pseudo":
            if not holds(folder, PSEUDO):
                return None
            made = read_pseudo_queries(folder, data.item_ids)
            return replace(of_queries(made.texts, items, made.queries, made.items), name=name)
        case "descriptions":
            return of_descriptions(data.titles, data.texts)
        case "likes":
            likes = learnable_likes(folder, opinions, queries, learned)
            return of_likes(items, likes, TAIL_WEIGHT)
        case "dropout":
            return of_dropout(items)
        case "views":
            return of_views(items)
    raise ValueError(f"{name!r} is no task; there are {', '.join(TASKS)}")


def learnable_likes(
    folder: Path, opinions: Opinions, queries: Queries, learned: NDArray[np.int64]
) -> Likes:
    """Return the likes of people, each the earliest first.

    Where queries stand in a folder in place of people, they are those of the `learned` ones alone.
    """
    data, liked = opinions.data, opinions.likes
    if not has_people(folder):
        liked = liked & np.isin(data.user_ids, [queries.ids[at] for at in learned])[data.users]
    rows = np.flatnonzero(liked)
    rows = rows[np.lexsort((data.times[rows], data.users[rows]))]
    people, items = (part[rows].astype(np.int32) for part in (data.users, data.items))
    return Likes(people, items, len(data.item_ids))


def _what(checkpoint: checkpoints.Checkpoint, material: _Material, recipe: Recipe) -> str:
    """Return what tells what is learned, and how, from anything else."""
    probes = [(each.name, each.draw(np.random.default_rng(0), 8)) for each in material.tasks]
    return json.dumps(
        [
            checkpoints.weights_sha256(checkpoint),
            [[name, *batch.first, *batch.second] for name, batch in probes],
            repr((recipe.kind, recipe.rank, recipe.max_tokens, recipe.objective)),
        ]
    )


def _interval(differences: NDArray[np.float64], seed: int) -> tuple[float, float]:
    """Return the 95 % interval of the mean difference, by resampling the queries."""
    bootstrap = UserBootstrap(len(differences), replicates=RESAMPLES, seed=seed)
    found = estimate(bootstrap.means(differences[np.newaxis])[:, 0])
    return round(found.low, DECIMALS), round(found.high, DECIMALS)
