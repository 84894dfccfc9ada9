"""How sure a figure is, and a difference between two: the bootstrap over users.

Efron and Tibshirani, "An Introduction to the Bootstrap" (1993). Users are drawn with replacement;
all methods are judged on the same draws, so what makes users hard or easy cancels out in a
difference. Every replicated figure here has 1 + B rows: the first is the sample itself, the others
are its B resamples. What is computed row by row from such figures is replicated as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from evaluation.hypervolume import hypervolumes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# The front counts down to this share of the relevance of the base, which is no re-ranking at all.
REFERENCE_SHARE = 0.7
CONFIDENCE = 0.95
# The same users summed in another order differ by less than this.
ROUNDING = 1e-12
# Of so many users one at least is in every resample: that none is has a chance of exp(-60).
ALWAYS_DRAWN = 60
# The largest number in a byte, and the bytes of a word.
BYTE, WORD_BYTES = 255, 8


class UserBootstrap:
    """B resamples of U users.

    Weights take 8 (1 + B) U bytes. With B resamples no p-value is below 2 / (B + 1), and after
    Holm's correction of m comparisons none below 2 m / (B + 1): 60 comparisons need 2,400 or more.
    """

    def __init__(self, users: int, *, replicates: int = 1_000, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        drawn = random.multinomial(users, np.full(users, 1 / users), size=replicates)
        self._weights = np.concatenate((np.ones((1, users)), drawn))

    def means(self, values: Floats) -> Floats:
        """Return the means over users of `values` (P, U), as (1 + B, P).

        NaN stands for a user without a value and is left out.
        """
        present = ~np.isnan(values)
        if present.all():
            # Every resample has as many users as there are.
            plain: Floats = self._weights @ values.T / values.shape[1]
            return plain
        totals = self._weights @ np.where(present, values, 0.0).T
        users = self._weights @ present.T.astype(np.float64)
        means: Floats = np.divide(totals, users, out=np.full(totals.shape, np.nan), where=users > 0)
        return means

    def coverage(self, lists: Ints, items: int) -> Floats:
        """Return the share of `items` that the lists show to anyone, as (1 + B, P).

        `lists` (P, U, K): catalogue positions. A resample holds fewer distinct users than the
        sample and so covers less; its replicates are moved to have the sample's coverage as mean,
        and tell the spread alone. None is moved beyond what a share can be.
        """
        covered = np.stack([self._covered(shown) for shown in lists], axis=1) / items
        covered[1:] += covered[0] - covered[1:].mean(axis=0)
        return np.clip(covered, 0.0, 1.0)

    def _covered(self, lists: Ints) -> Ints:
        # Users by the item that they were shown: an item is covered where any of its users is.
        users_per_item = np.argsort(lists, axis=None, kind="stable") // lists.shape[1]
        shown = np.sort(lists, axis=None)
        starts = np.flatnonzero(np.diff(shown, prepend=-1))
        counts = np.diff(starts, append=len(shown))
        rare = counts <= ALWAYS_DRAWN
        covered = np.full(len(self._weights), (~rare).sum())
        if not rare.any():
            return covered
        users = users_per_item[np.repeat(rare, counts)]
        starts = np.concatenate(([0], np.cumsum(counts[rare])[:-1]))
        anyone = np.bitwise_or.reduceat(self._drawn[users], starts, axis=0).view(np.uint8)
        # Of so few rows the sum fits into a byte, in a tenth of the time.
        for start in range(0, len(anyone), BYTE):
            rows = np.unpackbits(anyone[start : start + BYTE], axis=1, count=len(self._weights))
            covered += np.add.reduce(rows, axis=0, dtype=np.uint8)
        return covered

    @cached_property
    def _drawn(self) -> NDArray[np.uint64]:
        """In which rows each user is, a bit for each, (U, words)."""
        packed = np.packbits(self._weights.T > 0, axis=1)
        whole = np.pad(packed, ((0, 0), (0, -packed.shape[1] % WORD_BYTES)))
        return np.ascontiguousarray(whole).view(np.uint64)


@dataclass(frozen=True)
class Estimate:
    """A figure of the sample and its percentile interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """By how much one figure is above another on the same resamples.

    `p_value` is two-sided; `adjusted` is it after Holm's correction.
    """

    estimate: Estimate
    p_value: float
    adjusted: float


def curve_hypervolume(relevance: Floats, other: Floats, base: Floats) -> Floats:
    """Return the hypervolume of the points of a dial, as (1 + B,).

    `relevance`, `other` (1 + B, P): NDCG and a metric to be raised. `base` (1 + B,): the NDCG of
    the method that does not re-rank. The reference is 70 % of that, row by row, and zero.
    """
    reference = np.stack((REFERENCE_SHARE * base, np.zeros(len(base))), axis=1)
    return hypervolumes(relevance, other, reference)


def best_within_loss(
    relevance: Floats,
    other: Floats,
    base: Floats,
    *,
    max_loss: float = 0.05,
    lowest: bool = False,
) -> Floats:
    """Return the best of `other` among points that lose little relevance, as (1 + B,).

    Shapes as in `curve_hypervolume`. A point may be chosen if its NDCG is (1 - max_loss) of the
    base or more. Every resample chooses anew, so the spread holds that of the choice. NaN where
    no point may be chosen. `lowest`: the best is the lowest.
    """
    sign = -1.0 if lowest else 1.0
    least = (1 - max_loss) * base[:, None] - ROUNDING
    allowed = (relevance >= least) & ~np.isnan(other)
    best = np.where(allowed, sign * other, -np.inf).max(axis=1)
    return np.where(np.isneginf(best), np.nan, sign * best)


def estimate(replicated: Floats) -> Estimate:
    """Return the sample's value and interval of a figure (1 + B,), less resamples without one."""
    value, replicates = float(replicated[0]), replicated[1:]
    replicates = replicates[~np.isnan(replicates)]
    if not len(replicates):
        return Estimate(value, np.nan, np.nan)
    low, high = np.quantile(replicates, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value, float(low), float(high))


def p_value(differences: Floats) -> float:
    """Return the two-sided p-value of differences (1 + B,) against zero.

    Twice the share of resamples on the rarer side of zero, the sample itself counted among them so
    that it is never zero (Davison and Hinkley, "Bootstrap Methods and their Application", 1997). A
    resample without a value speaks against either side.
    """
    replicates = differences[1:]
    not_above, not_below = (~(replicates > ROUNDING)).sum(), (~(replicates < -ROUNDING)).sum()
    return min(1.0, 2 * (1 + int(min(not_above, not_below))) / (1 + len(replicates)))


def holm(p_values: Floats) -> Floats:
    """Adjust the p-values (m,) of m comparisons so that any below a level may be claimed together.

    Holm, "A Simple Sequentially Rejective Multiple Test Procedure" (Scandinavian Journal of
    Statistics, 1979).
    """
    m = len(p_values)
    order = np.argsort(p_values)
    adjusted = np.empty(m)
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * (m - np.arange(m))), 1.0)
    return adjusted


def compare(ours: Floats, others: Mapping[str, Floats]) -> dict[str, Difference]:
    """Compare a figure (1 + B,) with each of `others`, of the same resamples, by name.

    The correction is over all of `others`.
    """
    differences = {name: ours - other for name, other in others.items()}
    p_values = np.array([p_value(each) for each in differences.values()])
    return {
        name: Difference(estimate(each), float(p), float(adjusted))
        for (name, each), p, adjusted in zip(
            differences.items(), p_values, holm(p_values), strict=True
        )
    }
