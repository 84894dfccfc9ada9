import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.popularity_table import PopularityTable
from server.ranking.popularity import Bucket, rank_popularity


def buckets(mass: list[float]) -> list[Bucket]:
    return [Bucket(bucket) for bucket in rank_popularity(np.array(mass, float)).bucket]


def test_head_holds_the_first_fifth_and_the_middle_the_next_three() -> None:
    mass = [2.0] * 10 + [20.0] + [10.0] * 6
    assert buckets(mass) == [Bucket.TAIL] * 10 + [Bucket.HEAD] + [Bucket.MID] * 6


def test_an_item_that_starts_on_a_boundary_is_beyond_it() -> None:
    assert buckets([20, 19, 18, 17, 6, 5, 4, 3, 8]) == [
        *(Bucket.HEAD, Bucket.MID, Bucket.MID, Bucket.MID),
        *(Bucket.TAIL, Bucket.TAIL, Bucket.TAIL, Bucket.TAIL),
        Bucket.MID,
    ]
    # 80 of 100 interactions lie before the last: exactly the head and the middle.
    assert buckets([50, 30, 20]) == [Bucket.HEAD, Bucket.MID, Bucket.TAIL]


def test_equals_share_the_less_popular_bucket_that_they_span() -> None:
    assert buckets([10] * 4) == [Bucket.MID] * 4
    assert buckets([10] * 10) == [Bucket.TAIL] * 10


def test_without_interactions_everything_is_tail() -> None:
    assert buckets([0, 0, 0]) == [Bucket.TAIL] * 3


def test_an_item_without_interactions_is_tail() -> None:
    assert buckets([5, 0]) == [Bucket.HEAD, Bucket.TAIL]


def test_an_empty_catalogue() -> None:
    ranked = rank_popularity(np.empty(0))
    assert len(ranked.bucket) == len(ranked.percentile) == 0


@given(st.lists(st.integers(0, 12), min_size=1, max_size=30))
def test_matches_the_definition_item_by_item(mass: list[int]) -> None:
    total = sum(mass)
    ranked = rank_popularity(np.array(mass, float))
    for item, bucket, percentile in zip(mass, ranked.bucket, ranked.percentile, strict=True):
        # What lies before the last of its equals, in whole interactions.
        before = sum(other for other in mass if other > item) + item * (mass.count(item) - 1)
        if item == 0 or 5 * before >= 4 * total:
            expected = Bucket.TAIL
        else:
            expected = Bucket.HEAD if 5 * before < total else Bucket.MID
        assert bucket == expected
        assert percentile == pytest.approx(sum(other < item for other in mass) / len(mass))


def test_the_table_follows_each_change() -> None:
    table = PopularityTable()
    table.count("early", 3)
    table.add("early", 0.5)
    table.add("quiet", 0.0)
    assert table.ranked().popularity.mass.tolist() == [3.5, 0]

    table.count("quiet", 7)
    ranked = table.ranked()
    assert ranked.popularity.mass[ranked.rows(["quiet", "early"])].tolist() == [7, 3.5]

    table.remove("early")
    assert table.ranked().ids == ("quiet",)
    table.add("early", 0.0)
    ranked = table.ranked()
    assert ranked.popularity.mass[ranked.rows(["early"])].tolist() == [3]


def test_shares_add_up() -> None:
    table = PopularityTable()
    for name, prior in {"a": 50.0, "b": 30.0, "c": 20.0}.items():
        table.add(name, prior)
    shares = table.ranked().shares()
    assert {b: (s.items, s.share) for b, s in shares.items()} == {
        Bucket.HEAD: (1, 0.5),
        Bucket.MID: (1, 0.3),
        Bucket.TAIL: (1, 0.2),
    }


def test_shares_of_an_empty_table_are_zero() -> None:
    assert all((s.items, s.share) == (0, 0) for s in PopularityTable().ranked().shares().values())
