from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies
from longtail.server.catalogue.exposure_report import Spread, exposure_report, gini, response_rate
from longtail.server.ranking.popularity import Bucket
from longtail.server.store.records import Responses, ShownLists

HEAD, MID, TAIL = Bucket.HEAD, Bucket.MID, Bucket.TAIL

# Items 0 to 4, the last of which is never shown.
MASS = [100.0, 20.0, 3.0, 1.0, 0.0]
BUCKETS = [HEAD, MID, TAIL, TAIL, TAIL]


def report(*lists: list[int], gone: int = 0) -> dict[str, Any]:
    """Report on lists of items, and on impressions of one list of what the catalogue lost."""
    impressions, shares = np.zeros(5, np.int64), np.zeros(5)
    for items in lists:
        for item in items:
            impressions[item] += 1
            shares[item] += 1 / len(items)
    count = len(lists) + (gone > 0)
    shown = ShownLists([], sum(map(len, lists)) + gone, count, 0.25 if count else 0.0)
    spread = Spread(impressions, shares, np.array(MASS), np.array(BUCKETS, np.int8))
    return vars(exposure_report(shown, spread, 7))


def test_what_was_shown_is_spread_over_the_catalogue() -> None:
    found = report([0, 1], [0, 2, 3, 2])
    assert (found["impressions"], found["lists"], found["items"]) == (6, 2, 4)
    assert found["coverage"] == 4 / 5
    assert found["mean_popularity"] == pytest.approx((100 + 20 + 100 + 3 + 1 + 3) / 6)
    # No tail in the first list, three of four in the second.
    assert found["tail_fraction"] == pytest.approx((0 + 3 / 4) / 2)
    assert found["shares"] == pytest.approx({HEAD: 2 / 6, MID: 1 / 6, TAIL: 3 / 6})
    assert found["gini"] == pytest.approx(brute_force_gini([2, 1, 2, 1, 0]))
    assert (found["mean_relevance_loss"], found["revision"]) == (0.25, 7)


def test_what_the_catalogue_lost_counts_as_shown_and_no_more() -> None:
    with_gone, without = report([1, 2], gone=3), report([1, 2])
    assert (with_gone.pop("impressions"), with_gone.pop("lists")) == (5, 2)
    assert (without.pop("impressions"), without.pop("lists")) == (2, 1)
    assert with_gone == without


def test_nothing_shown_is_all_zero() -> None:
    empty = Spread(*(np.zeros(0, np.int64), np.zeros(0), np.zeros(0), np.zeros(0, np.int8)))
    for found in (report(), vars(exposure_report(ShownLists([], 0, 0, 0.0), empty, 7))):
        assert found.pop("revision") == 7
        assert found.pop("shares") == {HEAD: 0, MID: 0, TAIL: 0}
        assert set(found.values()) == {0}


def brute_force_gini(counts: list[int]) -> float:
    if not sum(counts):
        return 0.0
    difference = sum(abs(one - other) for one, other in product(counts, counts))
    return difference / (2 * len(counts) * sum(counts))


@given(strategies.lists(strategies.integers(0, 1000), max_size=12))
def test_gini_is_half_the_relative_mean_difference(counts: list[int]) -> None:
    found = gini(np.array(counts, np.int64))
    assert found == pytest.approx(brute_force_gini(counts), abs=1e-12)
    assert 0 <= found < 1


def test_gini_of_the_two_ends() -> None:
    assert gini(np.full(10, 3)) == 0
    assert gini(np.array([0] * 99 + [5])) == pytest.approx(0.99)


def test_a_rate_is_smoothed_by_that_of_all() -> None:
    everything = Responses(1000, 100)
    assert response_rate(Responses(0, 0), everything) == pytest.approx(0.1)
    assert response_rate(Responses(2, 2), everything) == pytest.approx((2 + 2) / 22)
    assert response_rate(Responses(980, 98), everything) == pytest.approx(0.1)
    assert response_rate(Responses(100_000, 50_000), everything) == pytest.approx(0.5, rel=1e-3)
    assert response_rate(Responses(0, 3), Responses(0, 3)) == 0
