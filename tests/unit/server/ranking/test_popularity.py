import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from longtail.server.ranking.popularity import Bucket, PopularityScale


def buckets(mass: list[float]) -> list[Bucket]:
    masses = np.array(mass, float)
    return [Bucket(bucket) for bucket in PopularityScale(masses).bucket(masses)]


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


def test_an_empty_catalogue_has_no_buckets_but_places_anything() -> None:
    scale = PopularityScale(np.empty(0))
    assert len(scale.bucket(np.empty(0))) == len(scale.percentile(np.empty(0))) == 0
    assert scale.bucket(np.array([0.0, 5.0])).tolist() == [Bucket.TAIL, Bucket.TAIL]
    assert scale.percentile(np.array([0.0, 5.0])).tolist() == [0, 0]
    assert all((s.items, s.share) == (0, 0) for s in scale.shares().values())


def test_masses_between_those_of_items_are_placed_too() -> None:
    scale = PopularityScale(np.array([50.0, 30.0, 20.0]))
    placed = scale.bucket(np.array([60.0, 49.0, 30.0, 29.0, 0.0]))
    assert placed.tolist() == [Bucket.HEAD, Bucket.MID, Bucket.MID, Bucket.TAIL, Bucket.TAIL]
    assert scale.percentile(np.array([60.0, 49.0, 20.0])).tolist() == [1, 2 / 3, 0]


def bucket_of(item: float, mass: list[float]) -> Bucket:
    """Return the bucket by the definition, in whole interactions."""
    total = sum(mass)
    # What lies before the last of its equals.
    before = sum(other for other in mass if other > item) + item * (mass.count(item) - 1)
    if item == 0 or 5 * before >= 4 * total:
        return Bucket.TAIL
    return Bucket.HEAD if 5 * before < total else Bucket.MID


MASSES = st.one_of(
    st.lists(st.integers(0, 12), min_size=1, max_size=30),
    st.lists(st.integers(0, 10**6), min_size=1, max_size=30),
)


@given(MASSES)
def test_matches_the_definition_item_by_item(mass: list[int]) -> None:
    masses = np.array(mass, float)
    scale = PopularityScale(masses)
    placed = [Bucket(bucket) for bucket in scale.bucket(masses)]
    assert placed == [bucket_of(item, list(map(float, mass))) for item in mass]
    below = [sum(other < item for other in mass) / len(mass) for item in mass]
    assert scale.percentile(masses).tolist() == pytest.approx(below)


@given(MASSES)
def test_shares_and_bounds_are_those_of_the_buckets(mass: list[int]) -> None:
    masses = np.array(mass, float)
    scale = PopularityScale(masses)
    placed, total = scale.bucket(masses), masses.sum() or 1.0
    for bucket, share in scale.shares().items():
        members = masses[placed == bucket]
        assert share.items == len(members)
        assert share.share == pytest.approx(members.sum() / total)
        least, too_much = scale.masses(bucket)
        assert ((masses >= least) & (masses < too_much) == (placed == bucket)).all()


def rank_by_whole_catalogue(mass: np.ndarray) -> np.ndarray:
    """Return the buckets as an argument over all items at once gives them."""
    ascending = np.sort(mass)
    before = np.concatenate(([0.0], np.cumsum(ascending[::-1])[:-1])) / mass.sum()
    share = before[len(mass) - 1 - np.searchsorted(ascending, mass, side="left")]
    bucket = np.full(len(mass), Bucket.TAIL, np.int8)
    bucket[share < 0.8] = Bucket.MID
    bucket[share < 0.2] = Bucket.HEAD
    bucket[mass == 0] = Bucket.TAIL
    return bucket


@pytest.mark.parametrize("seed", range(5))
def test_thresholds_agree_with_ranking_every_item_of_a_power_law(seed: int) -> None:
    mass = np.floor(np.random.default_rng(seed).pareto(1.1, 50_000) * 3)
    assert (PopularityScale(mass).bucket(mass) == rank_by_whole_catalogue(mass)).all()
