"""All metrics of a run: what its lists show, judged by what turned out to be relevant."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from longtail.server.catalogue.exposure_report import gini
from longtail.server.ranking.places import discounts
from longtail.server.ranking.popularity import Bucket
from numpy.typing import NDArray

from evaluation.exposure_metrics import (
    bucket_shares,
    jensen_shannon,
    taste_groups,
    variety,
)
from evaluation.relevance_metrics import (
    Marks,
    effective_sample_size,
    inverse_propensities,
    limited,
    ndcg,
    opportunity_gap,
    recall,
    reciprocal_rank,
    share,
)
from evaluation.task import Catalogue

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Truth:
    """The relevant test items of U requests.

    `items[offsets[u]:offsets[u + 1]]`: the catalogue positions for request u, distinct, in any
    order. `offsets` (U + 1,) starts at zero. `grades`: how relevant each of `items` is, above 0;
    None where all are alike.
    """

    offsets: Ints
    items: Ints
    grades: Floats | None = None

    @cached_property
    def counts(self) -> Ints:
        """How many items are relevant to each request, (U,)."""
        return np.diff(self.offsets)

    @cached_property
    def requests(self) -> Ints:
        """To which request each of `items` belongs."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def first(self, requests: int) -> "Truth":
        """Return the truth of the first `requests` alone."""
        end = self.offsets[requests]
        grades = None if self.grades is None else self.grades[:end]
        return Truth(self.offsets[: requests + 1], self.items[:end], grades)

    def count(self, weights: Floats | Marks) -> Floats:
        """Return the sum of the `weights` (I,) of the items relevant to each request, as (U,)."""
        of_items = weights[self.items].astype(np.float64)
        sums = np.bincount(self.requests, weights=of_items, minlength=len(self.counts))
        return sums.astype(np.float64)

    def hits(self, lists: Ints) -> Marks:
        """Mark the relevant ones among catalogue positions (U, n), as (U, n)."""
        known = self._sorted_pairs
        if not len(known):
            return np.zeros(lists.shape, np.bool_)
        pairs = _pairs(np.arange(len(lists))[:, None], lists)
        places = np.minimum(known.searchsorted(pairs.ravel()), len(known) - 1)
        marks: Marks = known[places].reshape(lists.shape) == pairs
        return marks

    def ndcg(self, lists: Ints) -> Floats:
        """Return the NDCG of catalogue positions (U, K), NaN where nothing is relevant, as (U,).

        The gain of an item is its grade, as trec_eval has it.
        """
        if self.grades is None:
            return ndcg(self.hits(lists), self.counts)
        by_place = discounts(lists.shape[1])
        gains = np.zeros(lists.shape)
        for request in np.flatnonzero(self.counts):
            own = slice(self.offsets[request], self.offsets[request + 1])
            grade_of = dict(zip(self.items[own].tolist(), self.grades[own].tolist(), strict=True))
            gains[request] = [grade_of.get(item, 0.0) for item in lists[request].tolist()]
        order = np.lexsort((-self.grades, self.requests))
        place = np.arange(len(order)) - self.offsets[self.requests[order]]
        counted = place < lists.shape[1]
        ideal = np.bincount(
            self.requests[order][counted],
            self.grades[order][counted] * by_place[place[counted]],
            minlength=len(self.counts),
        )
        return share(gains @ by_place, ideal)

    @cached_property
    def _sorted_pairs(self) -> Ints:
        return np.sort(_pairs(self.requests, self.items))


def _pairs(requests: Ints, items: Ints) -> Ints:
    # One number for each request and item; positions are far below 2 ** 32.
    return (requests << 32) | items


@dataclass(frozen=True)
class Measures:
    """The metrics of one run by name: of each user (U,), NaN where one has no value, and overall.

    `overall` holds the mean of each of `per_user` over those who have a value, and what is no such
    mean. Judge.measure describes the names.
    """

    per_user: Mapping[str, Floats]
    overall: Mapping[str, float]


class Judge:
    """Measures lists against one truth; all that depends on the truth alone is prepared once.

    `taste` (U, 3) is that of `Task`. `gamma` is how strongly the popular is observed more, for the
    SNIPS recall. Variety is looked up vector by vector, so with more than `variety_users` users it
    is measured on so many of them, evenly spaced.
    """

    def __init__(
        self,
        truth: Truth,
        catalogue: Catalogue,
        taste: Floats,
        *,
        gamma: float = 2.0,
        variety_users: int = 1_000,
    ) -> None:
        users = len(truth.counts)
        self._truth = truth
        self._catalogue = catalogue
        self._taste = taste
        self._groups = taste_groups(taste)
        self._of_variety = np.unique(
            np.linspace(0, users - 1, min(users, variety_users)).astype(np.int64)
        )

        self._tail = catalogue.bucket == Bucket.TAIL
        self._relevant_tail = truth.count(self._tail)

        weights = inverse_propensities(catalogue.popularity, gamma)
        tested = limited(weights[truth.items])
        self._weights = np.minimum(weights, tested.max(initial=0.0))
        self._relevant_weight = truth.count(self._weights)
        self._effective_sample_size = effective_sample_size(tested)

    def measure(self, lists: Ints) -> Measures:
        """Measure lists (U, K) of distinct catalogue positions, in the order of display.

        Per user:
        - `ndcg`, `recall`, `mrr`: see relevance_metrics.
        - `tail_hits`: how many relevant items of the tail are shown; `tail_recall`: their share
          in all such, NaN for a user without any.
        - `snips`: recall with each item weighed by its inverse propensity and the sum of weights
          in place of their number, so that what popularity hides counts.
        - `aplt`: the share of the tail in the list; `tail_exposure`: with each place weighed by
          the discount of the DCG, so that tail at the end of a list counts less.
        - `arp`: the mean popularity shown.
        - `upd`: the Jensen-Shannon divergence between taste and list over head, middle and tail;
          user popularity deviation in Abdollahpouri, Mansoury, Burke, Mobasher and Malthouse,
          "User-centered Evaluation of Popularity Bias in Recommender Systems" (UMAP 2021).
        - `ild`: see exposure_metrics.variety; NaN for users that are left out.

        Overall, beside the means:
        - `upd_grouped`: the mean over the three taste groups of the mean of each, as published.
        - `coverage`, `tail_coverage`: the share of the catalogue, and of its tail, shown to anyone.
        - `gini`: of how often each item of the catalogue is shown.
        - `popreo`: see relevance_metrics.opportunity_gap, for tail against all else.
        - `snips_ess`: the effective sample size of the weights behind `snips`, in relevant items.
        """
        hits = self._truth.hits(lists)
        tail = self._tail[lists]
        tail_hits = (hits & tail).sum(axis=1)
        weight = np.where(hits, self._weights[lists], 0.0).sum(axis=1)
        by_place = discounts(lists.shape[1])
        ild = np.full(len(lists), np.nan)
        ild[self._of_variety] = variety(self._catalogue.vectors, lists[self._of_variety])
        per_user = {
            "ndcg": self._truth.ndcg(lists),
            "recall": recall(hits, self._truth.counts),
            "mrr": np.where(self._truth.counts > 0, reciprocal_rank(hits), np.nan),
            "tail_hits": tail_hits.astype(np.float64),
            "tail_recall": share(tail_hits, self._relevant_tail),
            "snips": share(weight, self._relevant_weight),
            "aplt": tail.mean(axis=1),
            "tail_exposure": tail.astype(np.float64) @ by_place / by_place.sum(),
            "arp": self._catalogue.popularity[lists].mean(axis=1),
            "upd": jensen_shannon(self._taste, bucket_shares(self._catalogue.bucket[lists])),
            "ild": ild,
        }

        shown = np.bincount(lists.ravel(), minlength=len(self._tail))
        found = np.array([(hits & ~tail).sum(), tail_hits.sum()])
        relevant_tail = int(self._relevant_tail.sum())
        relevant = np.array([len(self._truth.items) - relevant_tail, relevant_tail])
        overall = {name: mean_of_present(values) for name, values in per_user.items()}
        overall |= {
            "upd_grouped": mean_of_present(
                np.array([mean_of_present(per_user["upd"][group]) for group in self._groups])
            ),
            "coverage": mean_of_present(shown > 0),
            "tail_coverage": mean_of_present(shown[self._tail] > 0),
            "gini": gini(shown),
            "popreo": opportunity_gap(found, relevant),
            "snips_ess": self._effective_sample_size,
        }
        return Measures(per_user, overall)


def mean_of_present(values: Floats | Marks) -> float:
    """Return the mean of the values (n,) that are not NaN; NaN when there are none."""
    present = values[~np.isnan(values)]
    return float(present.mean()) if len(present) else float("nan")
