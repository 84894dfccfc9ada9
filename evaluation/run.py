"""The whole evaluation of a folder: both regimes, all methods, and the report of it."""

import os
import platform
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from longtail.server.ranking.popularity import Bucket
from longtail.server.ranking.profile import Context, default_profile

from evaluation.base.registry import BASES
from evaluation.base.table import DEFAULT, FITTED, base_table
from evaluation.baselines.registry import BASELINES
from evaluation.comparison import REPLICATES, Comparer
from evaluation.cross_check import largest_differences
from evaluation.dataset import DatasetError
from evaluation.dial_table import dial_table
from evaluation.experiment import Experiment, Options, Progress, Stage, experiment
from evaluation.latency import of_method
from evaluation.methods import Scores, ablations, calibrated, ours, raw
from evaluation.metrics import Judge
from evaluation.oracle import ceilings
from evaluation.outside import outside_methods
from evaluation.query_run import evaluate_queries
from evaluation.query_source import holds_queries
from evaluation.reliability import reliability
from evaluation.report.results import (
    BaseTable,
    Comparison,
    CrossCheck,
    Data,
    DialTable,
    Latency,
    Protocol,
    Provenance,
    Report,
)
from evaluation.significance import CONFIDENCE, REFERENCE_SHARE
from evaluation.sweep import Sweep, sweeps
from evaluation.task import Family, Method, Task

MAX_LOSS = 0.05
BASE_STAGE, DIAL_STAGE = "base recommenders", "what the dial promises"
PACKAGES = (
    "numpy",
    "implicit",
    "fairsearchcore",
    "fairdiverse",
    "pyversity",
    "pytrec_eval-terrier",
)
CHECKED_BY = "pytrec_eval-terrier"
# Methods whose own code takes seconds for a single value of the dial; they run at the first length.
SLOW = frozenset(("P-MMF", "TaxRank"))


class Stages:
    """Measures the wall time of each stage and passes its progress on."""

    def __init__(self, show: Stage) -> None:
        self._show = show
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[Progress]:
        """Run a stage."""
        started = time.perf_counter()
        with self._show(name) as tell:
            yield tell
        self.seconds[name] = round(time.perf_counter() - started, 2)


def evaluate(
    folder: Path, options: Options, lengths: Sequence[int], command: str, show: Stage
) -> Report:
    """Evaluate on a folder, with lists of `lengths`; the first is the one that is plotted.

    Raises DatasetError when the data do not allow it.
    """
    stage = Stages(show)
    material = experiment(folder, options, stage)
    candidates = material.test.requests.items.shape[1]
    if candidates < max(lengths):
        raise DatasetError(
            f"pools hold {candidates} candidates: too few for lists of {max(lengths)}"
        )
    with stage(BASE_STAGE) as tell:
        base = base_table(material, lengths[0], BASES, tell)
    outside, absences = outside_methods()
    scores: dict[str, Scores] = {}
    for name, score in (("calibrated", calibrated), ("raw", raw)):
        with stage(f"dial of the {name} regime") as tell:
            scores[name] = score(material)
            tell(1, 1)
    with stage(DIAL_STAGE):
        dials = _dials(material, scores["calibrated"], lengths[0])
    queries = None
    if holds_queries(folder):
        queries = evaluate_queries(folder, options, lengths[0], stage)
    with stage("ablations") as tell:
        parts = ablations(material, scores["calibrated"])
        tell(1, 1)

    comparisons, latencies = [], list[Latency]()
    notes = list(absences)
    for regime, of_regime in scores.items():
        for k in lengths:
            task = material.test.task(of_regime.test, k, options.seed)
            methods = [ours(of_regime), *BASELINES]
            methods += [m for m in outside if k == lengths[0] or m.name not in SLOW]
            if regime == "calibrated" and k == lengths[0]:
                methods += parts
                latencies += [of_method(method, task) for method in (ours(of_regime), *BASELINES)]
            with stage(f"{regime} scores, lists of {k}") as tell:
                done = _swept(methods, task, material, tell)
            with stage(f"intervals for {regime} scores, lists of {k}") as tell:
                comparisons.append(_compared(regime, k, done, material, of_regime, tell))
            notes += [failure for sweep in done for failure in sweep.failures]
    first = comparisons[0]
    return Report(
        data=_data(folder, material),
        protocol=Protocol(MAX_LOSS, REFERENCE_SHARE, CONFIDENCE, REPLICATES),
        base=base,
        dials=dials,
        queries=queries,
        comparisons=tuple(comparisons),
        reliability=reliability(material.test, scores["calibrated"].test),
        ceilings={
            k: ceilings(
                material.test.requests.items,
                k,
                material.test.requests.truth,
                material.test.task(scores["raw"].test, k, options.seed).catalogue,
            )
            for k in lengths
        },
        latencies=tuple(latencies),
        cross_check=_cross_check(material, scores["calibrated"], first.k),
        provenance=Provenance(
            encoder=material.encoder,
            profile=scores["calibrated"].profile.version,
            command=command,
            machine=f"{os.cpu_count()} cores, {platform.machine()}",
            packages=_versions(),
        ),
        notes=tuple(
            dict.fromkeys(
                (
                    *notes,
                    f"{', '.join(sorted(SLOW))} ran with lists of {lengths[0]} only.",
                )
            )
        ),
        stages=stage.seconds,
    )


def evaluate_base(folder: Path, options: Options, k: int, show: Stage) -> BaseTable:
    """Compare the recommenders underneath alone, on lists of `k`.

    Raises DatasetError when the data do not allow it.
    """
    material = experiment(folder, options, show)
    with show(BASE_STAGE) as tell:
        return base_table(material, k, BASES, tell)


def evaluate_dial(folder: Path, options: Options, k: int, show: Stage) -> tuple[DialTable, ...]:
    """Hold what the dials of people promise against what lists of `k` lose.

    Raises DatasetError when the data do not allow it.
    """
    material = experiment(folder, options, show)
    with show("dial of the calibrated regime"):
        scores = calibrated(material)
    with show(DIAL_STAGE):
        return _dials(material, scores, k)


def _dials(material: Experiment, scores: Scores, k: int) -> tuple[DialTable, ...]:
    default, test, seed = default_profile(), material.test, material.options.seed
    return (
        dial_table(
            DEFAULT,
            test,
            test.probabilities(default.models[Context.HISTORY]),
            default.dials[Context.HISTORY],
            default.reach,
            np.ones(test.world.items),
            k,
            seed,
        ),
        dial_table(FITTED, test, scores.test, scores.dial, scores.reach, scores.exposure, k, seed),
    )


def _swept(
    methods: Sequence[Method], task: Task, material: Experiment, tell: Progress
) -> list[Sweep]:
    """Run all methods, in as many processes as there are cores; the slowest are begun first."""
    requests = material.test.requests
    judge = Judge(requests.truth, task.catalogue, requests.taste)
    order = sorted(range(len(methods)), key=lambda at: methods[at].name not in SLOW)
    # Forked, so that methods need not be sent: they are closures over the whole material.
    _forked[:] = [_Work(tuple(methods), task, judge)]
    done: dict[int, list[Sweep]] = {}
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("fork")) as pool:
        for at, found in zip(order, pool.map(_run, order), strict=True):
            done[at] = found
            tell(len(done), len(methods))
    return [sweep for at in range(len(methods)) for sweep in done[at]]


@dataclass(frozen=True)
class _Work:
    methods: tuple[Method, ...]
    task: Task
    judge: Judge


_forked: list[_Work] = []


def _run(at: int) -> list[Sweep]:
    [work] = _forked
    method = work.methods[at]
    re_sorted = method.family in (Family.BASELINE, Family.OUTSIDE) and len(method.dials) > 1
    return list(sweeps(method, work.task, work.judge, resorted=re_sorted))


def _compared(
    regime: str, k: int, done: Sequence[Sweep], material: Experiment, scores: Scores, tell: Progress
) -> Comparison:
    by_name = {sweep.name: sweep for sweep in done}
    mine = by_name[ours(scores).name]
    comparer = Comparer(by_name["none"], material.test.world.items, material.options.seed)
    promised = [scores.dial.loss(strength) for strength in mine.dials]
    comparison = comparer.comparison(regime, k, mine, done, promised)
    tell(1, 1)
    return comparison


def _cross_check(material: Experiment, scores: Scores, k: int) -> CrossCheck:
    task = material.test.task(scores.test, k, material.options.seed)
    lists = ours(scores).rerank(task, 0.2)
    shown = np.take_along_axis(task.items, lists, axis=1)
    differences = largest_differences(shown, material.test.requests.truth)
    return CrossCheck(CHECKED_BY, differences)


def _data(folder: Path, material: Experiment) -> Data:
    data, options, world = material.data, material.options, material.test.world
    counts = np.bincount(world.bucket, minlength=len(Bucket))
    return Data(
        name=folder.resolve().name,
        users=len(data.user_ids),
        items=len(data.item_ids),
        interactions=len(data.items),
        dropped_items={str(why): n for why, n in data.dropped.items.items()},
        dropped_interactions={str(why): n for why, n in data.dropped.interactions.items()},
        split=options.split.value,
        min_rating=options.min_rating,
        seed=options.seed,
        requests=len(material.test.requests.users),
        pool=material.test.requests.items.shape[1],
        buckets={bucket.name.lower(): int(counts[bucket]) for bucket in Bucket},
    )


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
