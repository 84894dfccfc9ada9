"""What an evaluation found, whole: everything that its report says is taken from here."""

from collections.abc import Mapping
from dataclasses import dataclass

from evaluation.oracle import Ceilings
from evaluation.significance import Difference, Estimate
from evaluation.task import Family


@dataclass(frozen=True)
class Point:
    """A method at one value of its dial.

    `metrics`: all that was measured, by the names that `evaluation.metrics` gives; NaN where a
    metric has no value. `promised_loss`: the share of the NDCG that the dial says it may cost, None
    for a dial that promises nothing.
    """

    dial: float
    metrics: Mapping[str, float]
    promised_loss: float | None = None


@dataclass(frozen=True)
class Best:
    """The best value of a metric among the points that lose little NDCG, and at which dial.

    The value and the dial are NaN when every point loses more.
    """

    estimate: Estimate
    dial: float


@dataclass(frozen=True)
class MethodResult:
    """A method in one regime at one list length.

    `curve`: from the mildest dial to the strongest. `hypervolume`: by the name of the pair of
    metrics, see `evaluation.report.figures.PAIRS`. `best`: by metric, see `LOSS_METRICS` there.
    `variant_of`: the name of the method of which this one shows the lists in another order.
    """

    name: str
    family: Family
    curve: tuple[Point, ...]
    hypervolume: Mapping[str, Estimate]
    best: Mapping[str, Best]
    variant_of: str | None = None


@dataclass(frozen=True)
class Comparison:
    """All methods on the same scores, showing lists of `k`.

    `base`: the metrics of the lists in the order of the scores, from which losses are counted.
    `ours`: the name of the method that the others are compared with. `differences`: by pair of
    metrics and name of another method, the hypervolume of ours minus that of the other.
    """

    regime: str
    k: int
    base: Mapping[str, float]
    ours: str
    methods: tuple[MethodResult, ...]
    differences: Mapping[str, Mapping[str, Difference]]


@dataclass(frozen=True)
class BaseResult:
    """A recommender without any re-ranking, on the whole catalogue.

    `setting`: what was chosen for it on validation, None for Longtail's own scores. `metrics`: by
    name. `against_best`: its NDCG less that of the best recommender of others, None for that one.
    """

    name: str
    setting: Mapping[str, float] | None
    metrics: Mapping[str, Estimate]
    against_best: Difference | None


@dataclass(frozen=True)
class BaseTable:
    """The recommenders on the same people, showing lists of `k`.

    `people`: how many. `best`: of others, the one of the highest NDCG. `pool_recall`: the share of
    what turned out relevant that Longtail's candidates hold. `notes`: what did not run, and why.
    """

    k: int
    best: str
    people: int
    pool_recall: float
    results: tuple[BaseResult, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class DialRow:
    """A dial at one strength.

    `promised`: the share of the NDCG that it says is lost. `told`: what answers say they lose, the
    mean. `lost`: what was, against the first row. `metrics`: by name.
    """

    strength: float
    promised: float
    told: float
    lost: Estimate
    metrics: Mapping[str, Estimate]


@dataclass(frozen=True)
class DialTable:
    """A dial by the `name` of its profile, on lists of `k`, from the mildest strength on."""

    name: str
    k: int
    rows: tuple[DialRow, ...]


@dataclass(frozen=True)
class QueryResults:
    """Queries in words: `base`, what retrieval and scores reach, and the dials over them."""

    base: BaseTable
    dials: tuple[DialTable, ...]


# What can be had alone.
Part = BaseTable | tuple[DialTable, ...] | QueryResults


@dataclass(frozen=True)
class ReliabilityRow:
    """Candidates whose items are of one decile of popularity, from 1, the least popular.

    `predicted`: their mean P(relevant). `observed`: the share that was relevant.
    """

    decile: int
    count: int
    predicted: float
    observed: float


@dataclass(frozen=True)
class Latency:
    """How long one request took in one method, with `pool` candidates and lists of `k`."""

    method: str
    pool: int
    k: int
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Data:
    """What was evaluated on.

    `users`, `items`, `interactions`: what was read. `dropped_items`, `dropped_interactions`: rows
    left out, by reason. `requests`: how many users were tested. `pool`: the candidates of each.
    `min_rating`: the least rating of a like, None where every interaction is one. `buckets`: how
    many items are head, middle and tail.
    """

    name: str
    users: int
    items: int
    interactions: int
    dropped_items: Mapping[str, int]
    dropped_interactions: Mapping[str, int]
    split: str
    min_rating: float | None
    seed: int
    requests: int
    pool: int
    buckets: Mapping[str, int]


@dataclass(frozen=True)
class Protocol:
    """By what rules figures were taken.

    `max_loss`: the share of the base's NDCG that a point may lose to be eligible as the best.
    `reference_share`: hypervolumes count from this share of the base's NDCG. `confidence`: of all
    intervals. `replicates`: bootstrap resamples of the users.
    """

    max_loss: float
    reference_share: float
    confidence: float
    replicates: int


@dataclass(frozen=True)
class CrossCheck:
    """By how much each metric of any user is off that of an outside library, at most."""

    library: str
    largest_differences: Mapping[str, float]


@dataclass(frozen=True)
class Provenance:
    """What the figures came from.

    `encoder`: the id of the model of the text vectors. `profile`: the version of the ranking
    profile. `command`: the line that repeats the run. `machine`: where times were taken, in words.
    `packages`: versions by name.
    """

    encoder: str
    profile: str
    command: str
    machine: str
    packages: Mapping[str, str]


@dataclass(frozen=True)
class Report:
    """One evaluation.

    `dials`: of people. `queries`: None where the folder has none. `ceilings`: by list length.
    `notes`: what a reader has to know, such as which outside package did not run and why.
    `stages`: wall time in seconds, in the order of the run.
    """

    data: Data
    protocol: Protocol
    base: BaseTable
    dials: tuple[DialTable, ...]
    queries: QueryResults | None
    comparisons: tuple[Comparison, ...]
    reliability: tuple[ReliabilityRow, ...]
    ceilings: Mapping[int, Ceilings]
    latencies: tuple[Latency, ...]
    cross_check: CrossCheck
    provenance: Provenance
    notes: tuple[str, ...]
    stages: Mapping[str, float]
