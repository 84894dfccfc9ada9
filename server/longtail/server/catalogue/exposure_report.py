"""How what people were shown is spread over the catalogue, and what that cost in relevance.

Average recommendation popularity (ARP) and the average percentage of long-tail items (APLT) are as
in Abdollahpouri, Burke and Mobasher, "Managing Popularity Bias in Recommender Systems with
Personalized Re-ranking" (FLAIRS 2019), over what was shown instead of over all that was listed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from longtail.server.catalogue.state import CatalogueState
from longtail.server.ranking.popularity import Bucket
from longtail.server.store.impressions import ImpressionRecords
from longtail.server.store.records import Responses, ShownLists
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Two impressions are not a hundred.
PRIOR_IMPRESSIONS = 20


@dataclass(frozen=True)
class Spread:
    """The n items of a catalogue: how much each was shown, and what it is.

    `impressions` (n,): how often. `list_shares` (n,): its shares of the lists, added up. `mass`
    (n,): its popularity. `bucket` (n,): its Bucket.
    """

    impressions: Ints
    list_shares: Floats
    mass: Floats
    bucket: NDArray[np.int8]


@dataclass(frozen=True)
class ExposureReport:
    """The exposure of a span of time; where nothing was shown all shares and means are 0.

    `impressions`, `lists` and `mean_relevance_loss` are of all that was shown, the rest is of what
    the catalogue still holds. `items` were shown, and are the share `coverage` of the catalogue.
    """

    impressions: int
    lists: int
    items: int
    coverage: float
    gini: float
    mean_popularity: float
    tail_fraction: float
    mean_relevance_loss: float
    shares: Mapping[Bucket, float]
    revision: int


def measure_exposure(
    records: ImpressionRecords, state: CatalogueState, start: int, end: int
) -> ExposureReport:
    """Report on the span from `start` until just before `end`, microseconds since the epoch.

    Popularity, buckets and catalogue are those of `state`.
    """
    shown = records.shown(start, end)
    revision, columns = state.revision, state.columns
    count = columns.count
    impressions, list_shares = np.zeros(count, np.int64), np.zeros(count)
    rows = columns.rows_at((item.item_id for item in shown.items), revision)
    for row, item in zip(rows.tolist(), shown.items, strict=True):
        if row >= 0:
            impressions[row], list_shares[row] = item.impressions, item.list_share
    current = np.flatnonzero(columns.visible(revision, count))
    mass = columns.mass(current)
    bucket = state.popularity.scale().bucket(mass)
    spread = Spread(impressions[current], list_shares[current], mass, bucket)
    return exposure_report(shown, spread, revision)


def exposure_report(shown: ShownLists, spread: Spread, revision: int) -> ExposureReport:
    """Return the report on what was shown, spread over the catalogue as of a revision."""
    weights = spread.impressions / max(1, spread.impressions.sum())
    listed = float(spread.list_shares.sum()) or 1.0
    items = int(np.count_nonzero(spread.impressions))
    return ExposureReport(
        impressions=shown.impressions,
        lists=shown.lists,
        items=items,
        coverage=items / max(1, len(weights)),
        gini=gini(spread.impressions),
        mean_popularity=float(weights @ spread.mass),
        tail_fraction=float(spread.list_shares[spread.bucket == Bucket.TAIL].sum()) / listed,
        mean_relevance_loss=shown.relevance_loss,
        shares={b: float(weights[spread.bucket == b].sum()) for b in Bucket},
        revision=revision,
    )


def response_rate(item: Responses, everything: Responses) -> float:
    """Return the interactions per impression of an item, smoothed by the rate of all items.

    It is as if PRIOR_IMPRESSIONS more had had that rate; 0 where nothing was ever shown.
    """
    if not everything.impressions:
        return 0.0
    rate = everything.interactions / everything.impressions
    responses = item.interactions + PRIOR_IMPRESSIONS * rate
    return responses / (item.impressions + PRIOR_IMPRESSIONS)


def gini(counts: Ints) -> float:
    """Return the Gini coefficient of `counts` (n,), each zero or more; 0 when there are none.

    It is half the mean difference of two of them, taken with replacement, over their mean.
    """
    n, total = len(counts), float(counts.sum())
    if total == 0:
        return 0.0
    places = 2 * np.arange(1, n + 1) - n - 1
    return float(places @ np.sort(counts)) / (n * total)
