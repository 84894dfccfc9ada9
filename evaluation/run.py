"""The whole evaluation of a folder: both regimes, all methods, and the report of it."""

import os
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from longtail.server.ranking.popularity import Bucket
from longtail.server.ranking.profile import Context, default_profile

from evaluation.base.registry import BASES
from evaluation.base.table import DEFAULT, FITTED, base_table
from evaluation.baselines.plain import NONE
from evaluation.baselines.registry import BASELINES
from evaluation.comparison import REPLICATES, Comparer, Measured
from evaluation.cross_check import largest_differences
from evaluation.dataset import DatasetError
from evaluation.dial_table import dial_table
from evaluation.experiment import Experiment, Options, Progress, Stage, experiment
from evaluation.forked import each
from evaluation.latency import of_method
from evaluation.methods import (
    ABLATED,
    STRENGTHS,
    Scores,
    ablations,
    calibrated,
    knobs,
    ours,
    raw,
)
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
from evaluation.sweep import sweeps
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
# Methods whose own code takes seconds for a single value of the dial; they run at the first length,
# or not at all in a fast run.
SLOW = frozenset(("P-MMF", "TaxRank", "FairSync", "Welf"))


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
    with stage("dials of both regimes and of the ablations") as tell:
        kinds = {"calibrated": calibrated, "raw": raw, **ABLATED}
        fitted = each([partial(kind, material) for kind in kinds.values()], tell)
        parts = dict(zip(kinds, fitted, strict=True))
    scores = {regime: parts.pop(regime) for regime in ("calibrated", "raw")}
    with stage(DIAL_STAGE):
        dials = _dials(material, scores["calibrated"], lengths[0])
    queries = None
    if holds_queries(folder):
        queries = evaluate_queries(folder, options, lengths[0], stage)

    comparisons, latencies = [], list[Latency]()
    notes = list(absences)
    for regime, of_regime in scores.items():
        for k in lengths:
            task = material.test.task(of_regime.test, k, options.seed)
            methods = [ours(of_regime), *knobs(of_regime), *BASELINES]
            slow = SLOW if options.fast or k != lengths[0] else frozenset[str]()
            methods += [method for method in outside if method.name not in slow]
            if regime == "calibrated" and k == lengths[0]:
                methods += ablations(of_regime, parts)
                latencies += [of_method(method, task) for method in (ours(of_regime), *BASELINES)]
            with stage(f"{regime} scores, lists of {k}") as tell:
                compared, failures = _compared(regime, methods, task, material, of_regime, tell)
            comparisons.append(compared)
            notes += failures
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
                    f"{', '.join(sorted(SLOW))} "
                    + ("did not run." if options.fast else f"ran with lists of {lengths[0]} only."),
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
            np.zeros(test.world.items),
            k,
            seed,
        ),
        dial_table(FITTED, test, scores.test, scores.dial, scores.reach, scores.exposure, k, seed),
    )


def _compared(
    regime: str,
    methods: Sequence[Method],
    task: Task,
    material: Experiment,
    scores: Scores,
    tell: Progress,
) -> tuple[Comparison, list[str]]:
    """Run all methods, the slowest are begun first; return how they compare, and what failed."""
    requests = material.test.requests
    judge = Judge(requests.truth, task.catalogue, requests.taste)
    [base] = sweeps(NONE, task, judge, resorted=False)
    comparer = Comparer(base, material.test.world.items, material.options.seed)
    promised = [scores.dial.loss(strength) for strength in STRENGTHS]

    def measured(method: Method) -> list[Measured]:
        re_sorted = method.family in (Family.BASELINE, Family.OUTSIDE) and len(method.dials) > 1
        found = sweeps(method, task, judge, resorted=re_sorted)
        return [comparer.measured(sweep, promised) for sweep in found]

    order = sorted(range(len(methods)), key=lambda at: methods[at].name not in SLOW)
    done = each([partial(measured, methods[at]) for at in order], tell)
    by_place = dict(zip(order, done, strict=True))
    found = [result for at in range(len(methods)) for result in by_place[at]]
    failures = [failure for result in found for failure in result.failures]
    return comparer.comparison(regime, task.k, ours(scores).name, found), failures


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
