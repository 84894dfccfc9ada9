"""`python -m training adapt`: an encoder that knows a catalogue's words, or none where it does not.

What is written is a checkpoint like the one that it began with, which `longtail-export` takes.
"""

import csv
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from longtail.export import checkpoint as checkpoints
from longtail.server.ranking.head.pairs import TAIL_WEIGHT, Likes
from longtail.server.write.encoding import text_to_encode
from numpy.typing import NDArray

from evaluation.dataset import DatasetError
from evaluation.opinions import Opinions, read_opinions
from evaluation.query_source import Queries, holds_queries, read_queries
from evaluation.significance import UserBootstrap, estimate
from training.adapt.encoder import AdaptedEncoder, Kind
from training.adapt.judging import Judgement, judgement, parts_of
from training.adapt.objective import Objective
from training.adapt.steps import Plan, Progress, learn
from training.adapt.tasks import (
    Task,
    of_descriptions,
    of_dropout,
    of_likes,
    of_queries,
    of_views,
)

CHECKPOINT, REPORT, LOG = "checkpoint", "adapt.json", "adapt.csv"
TASKS = ("queries", "descriptions", "likes", "dropout", "views")
# While it learns, it is looked at over so many items beside the relevant ones; in the end over all.
OTHERS = 1_000
# By this share queries that were not learned from may become worse, and no more.
TOLERANCE = 0.02
RESAMPLES = 5_000
DECIMALS = 4


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
    before = material.last.scores(encoder)
    log = _Log(out / LOG)

    def judge(progress: Progress) -> float:
        score = float(material.stop.scores(encoder).mean())
        if accelerator.is_main_process:
            log.add(progress, score, time.monotonic() - started)
        return score

    done = learn(
        encoder, material.tasks, recipe.objective, recipe.plan, out, judge, tell, accelerator
    )
    after = material.last.scores(encoder)
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
        if (task := _task(name, opinions, items, queries, learned)) is not None
    ]
    if not tasks:
        raise DatasetError(f"{data}: has nothing to learn {' and '.join(recipe.tasks)} from")
    return _Material(
        tasks,
        judgement(queries, stop, items, OTHERS, random),
        judgement(queries, last, items, len(items), random),
    )


def _task(
    name: str,
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
        case "descriptions":
            return of_descriptions(data.titles, data.texts)
        case "likes":
            rows = np.flatnonzero(opinions.likes)
            rows = rows[np.lexsort((data.times[rows], data.users[rows]))]
            people, liked = (part[rows].astype(np.int32) for part in (data.users, data.items))
            return of_likes(items, Likes(people, liked, len(items)), TAIL_WEIGHT)
        case "dropout":
            return of_dropout(items)
        case "views":
            return of_views(items)
    raise ValueError(f"{name!r} is no task; there are {', '.join(TASKS)}")


def _interval(differences: NDArray[np.float64], seed: int) -> tuple[float, float]:
    """Return the 95 % interval of the mean difference, by resampling the queries."""
    bootstrap = UserBootstrap(len(differences), replicates=RESAMPLES, seed=seed)
    found = estimate(bootstrap.means(differences[np.newaxis])[:, 0])
    return round(found.low, DECIMALS), round(found.high, DECIMALS)


class _Log:
    """The curve of learning as CSV, which grows as it is drawn and goes on after a break."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def add(self, progress: Progress, score: float, seconds: float) -> None:
        new = not self._file.exists()
        with self._file.open("a", newline="", encoding="utf-8") as file:
            lines = csv.writer(file)
            if new:
                lines.writerow(("step", "loss", "query_ndcg", "seconds"))
            lines.writerow(
                (
                    progress.step,
                    round(progress.loss, DECIMALS),
                    round(score, DECIMALS),
                    round(seconds, 1),
                )
            )


def device_precision(wanted: str) -> str:
    """Return the precision to compute in: `wanted`, or what the device does well for "auto"."""
    if wanted != "auto":
        return {"fp32": "no"}.get(wanted, wanted)
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    # A CPU without instructions for it computes bf16 slower than fp32.
    flags = Path("/proc/cpuinfo")
    known = flags.read_text() if flags.exists() else ""
    return "bf16" if "avx512_bf16" in known or "amx_bf16" in known else "no"
