"""The figures that methods are compared by, and how they are called."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A metric: its `name` in the results, what people call it, and whether less of it is better.

    `meaning` completes the sentence "it is ...".
    """

    name: str
    label: str
    meaning: str
    lowest: bool = False


APLT = Metric("aplt", "APLT", "the share of the long tail in a list")
TAIL_RECALL = Metric("tail_recall", "tail recall", "the share of the relevant tail that is shown")
COVERAGE = Metric("coverage", "coverage", "the share of the catalogue that anyone is shown")
UPD = Metric(
    "upd", "UPD", "how far lists are from each person's own taste for the tail", lowest=True
)
GINI = Metric("gini", "Gini", "how unequally the items of the catalogue are shown", lowest=True)

# The best value of each within the allowed loss of NDCG is reported.
LOSS_METRICS = (APLT, TAIL_RECALL, COVERAGE, UPD, GINI)


@dataclass(frozen=True)
class Pair:
    """NDCG and a metric, the two axes of a hypervolume; the second one is to be raised."""

    metric: Metric

    @property
    def axis(self) -> str:
        """What is to be raised, in words: the metric, or one minus it."""
        return f"1 − {self.metric.label}" if self.metric.lowest else self.metric.label

    @property
    def name(self) -> str:
        """Its key in the results, such as `ndcg x aplt` or `ndcg x 1-upd`."""
        return f"ndcg x {'1-' if self.metric.lowest else ''}{self.metric.name}"

    @property
    def label(self) -> str:
        """What people call it."""
        return f"NDCG × {self.axis}"

    def height(self, value: float) -> float:
        """Return how high a value of the metric is on the second axis."""
        return 1 - value if self.metric.lowest else value


PAIRS = tuple(Pair(metric) for metric in (APLT, TAIL_RECALL, COVERAGE, UPD))
