"""A report of invented figures with the structure of a real one, of any size."""

import numpy as np

from evaluation.oracle import Ceilings
from evaluation.report.figures import LOSS_METRICS, PAIRS
from evaluation.report.results import (
    BaseResult,
    BaseTable,
    Best,
    Comparison,
    CrossCheck,
    Data,
    DialRow,
    DialTable,
    Latency,
    MethodResult,
    Point,
    Protocol,
    Provenance,
    QueryResults,
    ReliabilityRow,
    Report,
)
from evaluation.significance import Difference, Estimate, best_within_loss, curve_hypervolume
from evaluation.task import Family

NAMES = ("none", "FA*IR", "xQuAD smooth", "FairCo", "PC", "CP", "Steck", "logQ", "PFAR", "GANC")


def invented_report(methods: int = 3, points: int = 4, *, seed: int = 0, ks: int = 1) -> Report:
    """Return a report with `methods` rivals, every second one a variant of the one before."""
    random = np.random.default_rng(seed)
    comparisons = tuple(
        comparison(random, regime, k, methods, points)
        for regime in ("raw", "calibrated")
        for k in (10, 20)[:ks]
    )
    return Report(
        data=Data(
            name="films <& tails>",
            users=610,
            items=9_742,
            interactions=100_836,
            dropped_items={"item given before": 3},
            dropped_interactions={"unknown item": 17, "unreadable rating": 2},
            split="user-time",
            min_rating=3.5,
            seed=11,
            requests=604,
            pool=200,
            buckets={"head": 120, "middle": 1_604, "tail": 8_018},
        ),
        protocol=Protocol(max_loss=0.05, reference_share=0.7, confidence=0.95, replicates=2_000),
        base=base_table(),
        dials=(dial_table("Longtail, fitted"),),
        queries=QueryResults(base_table(), (dial_table("Longtail, default profile"),)),
        comparisons=comparisons,
        reliability=tuple(
            ReliabilityRow(
                decile,
                int(random.integers(1_000, 20_000)),
                0.004 * decile,
                float(0.004 * decile + random.normal(0, 0.001)),
            )
            for decile in range(1, 11)
        ),
        ceilings={k: Ceilings(0.61, 0.52, 0.33, 0.97, 0.41) for k in (10, 20)[:ks]},
        latencies=(Latency("Longtail", 200, 10, 0.21, 0.48), Latency("CP", 200, 10, 0.6, 0.93)),
        cross_check=CrossCheck("trec_eval", {"ndcg": 2.2e-16, "recall": 0.0}),
        provenance=Provenance(
            encoder="a/text-encoder@1234",
            profile="profile 7",
            command="python -m evaluation films --out report --split 'user-time'",
            machine="2 cores",
            packages={"numpy": "2.4.6"},
        ),
        notes=("somepackage 1.0 did not run: it needs <a solver>",),
        stages={"read": 1.2, "re-rank": 310.5},
    )


def base_table() -> BaseTable:
    """Return recommenders, the best of others among them."""

    def recommender(name: str, ndcg: float, apart: float | None, **setting: float) -> BaseResult:
        metrics = {"ndcg": ndcg, "aplt": 0.1, "coverage": 0.2}
        less = None
        if apart is not None:
            less = Difference(Estimate(apart, apart - 0.01, apart + 0.01), 0.02, 0.04)
        of_metrics = {each: Estimate(v, v - 0.01, v + 0.01) for each, v in metrics.items()}
        return BaseResult(name, setting or None, of_metrics, less)

    return BaseTable(
        k=10,
        best="EASE",
        people=604,
        pool_recall=0.4321,
        results=(
            recommender("Longtail, fitted", 0.31, 0.015),
            recommender("EASE", 0.295, None, **{"lambda": 300.0}),
            recommender("item-kNN", 0.28, -0.015, neighbours=50.0),
        ),
        notes=("ALS did not run: it is <too large>.",),
    )


def dial_table(name: str) -> DialTable:
    """Return a dial that loses a little less than it promises."""

    def row(strength: float) -> DialRow:
        lost = Estimate(0.8 * strength**2, 0.7 * strength**2, 0.9 * strength**2)
        metrics = {"ndcg": Estimate(0.3, 0.2, 0.4), "aplt": Estimate(strength, 0.0, 1.0)}
        return DialRow(strength, strength**2, 0.5 * strength**2, lost, metrics)

    return DialTable(name, 10, tuple(row(strength) for strength in (0.0, 0.2, 0.4)))


def comparison(
    random: np.random.Generator, regime: str, k: int, methods: int, points: int
) -> Comparison:
    base = measured(random, 0.117 if regime == "raw" else 0.131, 0.0, 0.0)
    ours = method(random, "Longtail", Family.LONGTAIL, base, points, strength=1.0)
    rivals = []
    for number in range(methods):
        stem = NAMES[number // 2 % len(NAMES)] + (f" {number}" if number >= 2 * len(NAMES) else "")
        variant = number % 2 == 1
        family = Family.OUTSIDE if number % 5 == 4 else Family.BASELINE
        rivals.append(
            method(
                random,
                f"{stem} re-sorted" if variant else stem,
                family,
                base,
                points,
                strength=float(random.uniform(0.1, 0.95)),
                variant_of=stem if variant else None,
            )
        )
    ablations = [
        method(random, name, Family.ABLATION, base, points, strength=0.8)
        for name in ("without text", "without re-sort")
    ]
    others = (*rivals, *ablations)
    return Comparison(
        regime=regime,
        k=k,
        base=base,
        ours="Longtail",
        methods=(ours, *others),
        differences={
            pair.name: {
                other.name: difference(
                    random,
                    ours.hypervolume[pair.name].value - other.hypervolume[pair.name].value,
                    ours.hypervolume[pair.name].value / 20,
                )
                for other in others
            }
            for pair in PAIRS
        },
    )


def measured(
    random: np.random.Generator, ndcg: float, push: float, skill: float
) -> dict[str, float]:
    noise = random.normal(0, 0.003)
    return {
        "ndcg": ndcg,
        "recall": 0.8 * ndcg,
        "mrr": 1.7 * ndcg,
        "tail_recall": max(0.0, 0.03 * push * skill + noise / 5),
        "aplt": float(np.clip(0.02 + 0.6 * push + noise, 0, 1)),
        "coverage": 0.06 + 0.2 * push * skill + noise,
        "gini": 0.97 - 0.2 * push * skill,
        "arp": 120 - 90 * push,
        "upd": abs(0.2 - 0.5 * push * skill) + abs(noise),
        "snips": float("nan"),
    }


def method(
    random: np.random.Generator,
    name: str,
    family: Family,
    base: dict[str, float],
    points: int,
    *,
    strength: float,
    variant_of: str | None = None,
) -> MethodResult:
    dials = np.linspace(0, 1, points).tolist()
    curve = []
    for dial in dials:
        loss = dial**1.5 * 0.35
        push = dial if family is Family.LONGTAIL else dial * strength
        ndcg = base["ndcg"] * (1 - loss * (1.6 - strength) + random.normal(0, 0.003))
        promised = loss if family is Family.LONGTAIL else None
        curve.append(Point(dial, measured(random, ndcg, push, strength), promised))
    ndcg = np.array([[point.metrics["ndcg"] for point in curve]])
    least = np.array([base["ndcg"]])

    def row(metric: str) -> np.ndarray:
        return np.array([[point.metrics[metric] for point in curve]])

    hypervolume = {}
    for pair in PAIRS:
        heights = 1 - row(pair.metric.name) if pair.metric.lowest else row(pair.metric.name)
        hypervolume[pair.name] = around(random, float(curve_hypervolume(ndcg, heights, least)[0]))
    best = {}
    for metric in LOSS_METRICS:
        values = row(metric.name)
        value = float(best_within_loss(ndcg, values, least, lowest=metric.lowest)[0])
        known = not np.isnan(value)
        place = int(np.argmin(abs(values - value))) if known else 0
        dial = dials[place] if known else float("nan")
        best[metric.name] = Best(around(random, value), dial)
    return MethodResult(name, family, tuple(curve), hypervolume, best, variant_of)


def around(random: np.random.Generator, value: float) -> Estimate:
    spread = abs(value) * float(random.uniform(0.05, 0.12))
    return Estimate(value, value - spread, value + spread)


def difference(random: np.random.Generator, value: float, spread: float) -> Difference:
    p = float(random.uniform(0.0005, 0.3))
    return Difference(Estimate(value, value - spread, value + spread), p, min(1.0, 3 * p))
