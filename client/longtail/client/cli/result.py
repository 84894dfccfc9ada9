"""How one recommended item is shown: its bucket, its reasons and what its score is made of."""

from collections.abc import Iterable
from dataclasses import dataclass

from longtail.client.cli import output
from longtail.v1.recommendation_service_pb2 import (
    Breakdown,
    Bucket,
    EffectivePolicy,
    GaveWay,
    MissingAttribute,
    Reason,
    Recommendation,
)

# What rounds to zero at the two places that are shown.
SMALLEST_TERM = 0.005
NO_ITEM_HAS = "no item has"


@dataclass(frozen=True)
class Part:
    """A field of the breakdown: its heading, how it is written, and its value when it is idle."""

    heading: str
    field: str
    form: str
    idle: float = 0.0

    def text(self, breakdown: Breakdown) -> str:
        """Return the value for people."""
        return format(getattr(breakdown, self.field), self.form)

    def is_idle(self, breakdown: Breakdown) -> bool:
        """Return whether the value says nothing, as zero does in every field."""
        return self.text(breakdown) in (format(0.0, self.form), format(self.idle, self.form))


PARTS = (
    Part("similarity", "similarity", "z.4f"),
    Part("query", "from_query", "z.4f"),
    Part("examples", "from_examples", "z.4f"),
    Part("history", "from_history", "z.4f"),
    Part("words", "words", "z.4f"),
    Part("behaviour", "behaviour", "z.4f"),
    Part("rules", "rule_factor", "g", idle=1.0),
    Part("penalty", "penalty", ".0%"),
    Part("penalty decision", "penalty_decision", ".0f"),
    Part("rotation", "rotation", ".0%"),
    Part("gain", "relevance_gain", "z.4f"),
    Part("tail bonus", "tail_bonus", "z.4f"),
    Part("coverage", "coverage_bonus", "z.4f"),
    Part("taste", "taste_share", "z.4f"),
    Part("base rank", "baseline_rank", ".0f"),
    Part("popularity", "popularity", "g"),
    Part("less popular", "popularity_percentile", ".1%"),
)


def bucket(item: Recommendation) -> str:
    """Return where the item stands in popularity."""
    return output.enum_word(Bucket.Name(item.bucket), "BUCKET_")


def reasons(item: Recommendation) -> str:
    """Return why the item is in the list."""
    return ", ".join(output.enum_word(Reason.Name(reason), "REASON_") for reason in item.reasons)


def propensity(item: Recommendation) -> str:
    """Return the probability of an item that was drawn, nothing for one that was not."""
    return f"{item.propensity:.3g}" if 0 < item.propensity < 1 else ""


def nearest(item: Recommendation) -> str:
    """Return what of the history and the examples the item is most like, and how much."""
    if not item.HasField("nearest_example"):
        return ""
    like = item.nearest_example
    name = like.title or like.item_id or f"example {like.example + 1}"
    return f"{name} ({like.similarity:.2f})"


def terms(breakdown: Breakdown) -> str:
    """Return what the estimate is made of, in log odds and the order of the ranking profile."""
    return ", ".join(
        f"{term.feature} {term.log_odds:+.2f}"
        for term in breakdown.terms
        if abs(term.log_odds) >= SMALLEST_TERM
    )


def missing(attributes: Iterable[MissingAttribute]) -> list[str]:
    """Return which attributes no item has that the request names, and what may be meant."""
    return [
        f"{each.field} (is {each.nearest} meant?)" if each.nearest else each.field
        for each in attributes
    ]


def gave_way(policy: EffectivePolicy) -> list[str]:
    """Return which wishes were kept from their due, each with what it gave way to."""
    return [output.enum_word(GaveWay.Name(wish), "GAVE_WAY_") for wish in policy.gave_way]
