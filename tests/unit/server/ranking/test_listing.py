"""One list out of a pool, with everything that may be asked for at once."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from longtail.server.ranking.divergence import taste_divergence
from longtail.server.ranking.diversity import intra_list_diversity
from longtail.server.ranking.listing import (
    CappedAttribute,
    Exploration,
    GaveWay,
    Listing,
    Order,
    compose,
)
from longtail.server.ranking.places import discounts
from longtail.server.ranking.popularity import Bucket
from longtail.server.ranking.quota import Candidates, Limits, Places, Prices, ideal_dcg, select
from numpy.typing import NDArray

H, M, T = Bucket
PLAIN = Order(10, Prices(), Limits(), {})


def pool(relevance: list[float], bucket: list[Bucket]) -> Candidates:
    return Candidates(np.array(relevance), np.array(bucket, np.int8), np.zeros(len(bucket)))


def random_pool(random: np.random.Generator, n: int) -> Candidates:
    return Candidates(
        np.clip(random.beta(1, 3, n), 1e-6, 1),
        random.choice(3, n, p=[0.2, 0.4, 0.4]).astype(np.int8),
        random.random(n),
        taste=random.dirichlet(np.ones(3)) if random.random() < 0.7 else None,
    )


def random_cap(random: np.random.Generator, n: int) -> CappedAttribute:
    offsets = np.concatenate(([0], np.cumsum(random.integers(0, 3, n))))
    # Consecutive values, so that no item has one twice.
    values = (random.integers(8) + 3 * np.arange(offsets[-1])) % 8
    return CappedAttribute(offsets, values, int(random.integers(1, 4)))


def random_order(random: np.random.Generator, n: int, budget: float) -> Order:
    k = int(random.integers(1, 9))
    vectors = random.normal(size=(n, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    places = random.choice(k, int(random.integers(0, min(3, k, n) + 1)), replace=False)
    candidates = random.choice(n, len(places), replace=False)
    return Order(
        k,
        Prices(*random.choice([0.0, 0.05, 0.5, 5.0], 3)),
        Limits(float(random.choice([0, 0.3, 1])), budget),
        dict(zip(places.tolist(), candidates.tolist(), strict=True)),
        tuple(random_cap(random, n) for _ in range(random.integers(0, 3))),
        Exploration(int(random.integers(0, k + 1)), random.random(n) < 0.5, 1)
        if random.random() < 0.6
        else None,
        float(random.choice([0, 0.3, 1])),
        vectors,
    )


def objective(listing: Listing) -> float:
    items = listing.gains + listing.tail_bonuses + listing.coverage_bonuses + listing.taste_share
    return float(items.sum())


def values_of(cap: CappedAttribute, item: int) -> list[int]:
    return [int(value) for value in cap.values[cap.offsets[item] : cap.offsets[item + 1]]]


def breaks(cap: CappedAttribute, items: list[int]) -> bool:
    held = [value for item in items for value in values_of(cap, item)]
    return any(held.count(value) > cap.limit for value in held)


def most_relevant_dcg(candidates: Candidates, order: Order, listing: Listing) -> float:
    """The pins where the list has them, and one after another that no cap forbids."""
    k = len(listing.chosen)
    items = listing.chosen.tolist()
    best = [item if pin else -1 for item, pin in zip(items, listing.pinned, strict=True)]
    free = [place for place in range(k) if best[place] < 0]
    taken = [item for item in best if item >= 0]
    for item in np.argsort(-candidates.relevance, kind="stable").tolist():
        beside = [
            [other for other in taken if set(values_of(cap, other)) & set(values_of(cap, item))]
            for cap in order.caps
        ]
        full = any(
            sum(value in values_of(cap, other) for other in others) >= cap.limit
            for cap, others in zip(order.caps, beside, strict=True)
            for value in values_of(cap, item)
        )
        if free and item not in taken and not full:
            best[free.pop(0)] = item
            taken.append(item)
    assert not free
    return float(candidates.relevance[best] @ discounts(k))


def check(candidates: Candidates, order: Order, listing: Listing) -> None:
    chosen, k = listing.chosen.tolist(), len(listing.chosen)
    relevance = candidates.relevance
    assert len(set(chosen)) == k <= order.k
    pinned = set(order.pins.values())
    assert pinned == {item for item, pin in zip(chosen, listing.pinned, strict=True) if pin}
    for place, item in order.pins.items():
        assert place >= k or chosen[place] == item
    for cap in order.caps:
        held = [value for item in chosen for value in values_of(cap, item)]
        of_pins = [value for item in pinned for value in values_of(cap, item)]
        for value in held:
            assert held.count(value) <= max(cap.limit, of_pins.count(value))
    for item in range(len(relevance)):
        if item not in chosen:
            admitted = all(
                sum(value in values_of(cap, other) for other in chosen) < cap.limit
                for cap in order.caps
                for value in values_of(cap, item)
            )
            assert listing.capped[item] == (not admitted)
    # The rest by relevance, and the drawn after it.
    rest = listing.chosen[~listing.pinned & ~listing.explored]
    assert (np.diff(relevance[rest]) <= 0).all()
    assert (np.diff(relevance[listing.chosen[listing.explored]]) <= 0).all()
    free = listing.explored[~listing.pinned]
    assert (np.diff(free.astype(int)) >= 0).all()
    assert (listing.propensities[~listing.explored] == 1).all()
    assert (listing.propensities > 0).all()
    if order.exploration is not None:
        assert order.exploration.eligible[listing.chosen[listing.explored]].all()
    # What it says of itself.
    dcg = float(relevance[listing.chosen] @ discounts(k))
    loss = 1 - dcg / most_relevant_dcg(candidates, order, listing)
    assert listing.loss == pytest.approx(max(0, loss), abs=1e-9)
    assert loss <= order.limits.relevance_budget + 1e-12
    assert listing.loss <= order.limits.relevance_budget
    counts = np.bincount(candidates.bucket[listing.chosen], minlength=3)
    divergence = float(taste_divergence(candidates.taste, counts[None])[0])
    assert listing.taste_divergence == pytest.approx(divergence)
    expected = dcg / ideal_dcg(candidates, k) + order.prices.tail * counts[T] / k
    expected += order.prices.coverage * candidates.rarity[listing.chosen].mean()
    assert objective(listing) == pytest.approx(expected - order.prices.taste * divergence)
    met = counts[T] >= order.limits.min_tail_fraction * k - 1e-9
    hindered = {GaveWay.TAIL_TO_BUDGET, GaveWay.TAIL_TO_CANDIDATES} & listing.gave_way
    assert met != bool(hindered)
    assert listing.tail_fraction == counts[T] / k


@settings(max_examples=150)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.02, 0.1, 0.5, 1.0]))
def test_the_budget_holds_whatever_is_asked_for(seed: int, budget: float) -> None:
    random = np.random.default_rng(seed)
    candidates = random_pool(random, int(random.integers(1, 31)))
    order = random_order(random, len(candidates.relevance), budget)
    check(candidates, order, compose(candidates, order))


def test_two_thousand_requests_keep_to_two_percent() -> None:
    random = np.random.default_rng(1)
    ways_out: set[GaveWay] = set()
    for _ in range(2_000):
        candidates = random_pool(random, int(random.integers(1, 16)))
        listing = compose(candidates, random_order(random, len(candidates.relevance), 0.02))
        assert listing.loss <= 0.02
        ways_out |= listing.gave_way
    assert ways_out == set(GaveWay)


def test_plain_is_what_select_finds() -> None:
    random = np.random.default_rng(4)
    for _ in range(50):
        candidates = random_pool(random, 60)
        prices, limits = Prices(0.3, 0.2, 0.1), Limits(0.2, 0.2)
        selection = select(candidates, Places.first(10), prices, limits)
        listing = compose(candidates, Order(10, prices, limits, {}))
        assert selection is not None
        assert listing.chosen.tolist() == selection.chosen.tolist()
        assert listing.loss == pytest.approx(selection.loss)
        assert listing.taste_share == pytest.approx(-selection.taste_cost / 10)
        in_order = np.argsort(-candidates.relevance, kind="stable")
        assert listing.baseline[in_order].tolist() == list(range(1, 61))


def test_fewer_candidates_than_places_give_a_shorter_list() -> None:
    listing = compose(pool([0.1, 0.3], [H, T]), PLAIN)
    assert listing.chosen.tolist() == [1, 0]


def test_pins_keep_their_places_and_the_rest_goes_around() -> None:
    candidates = pool([0.9, 0.8, 0.7, 0.6, 0.1], [H] * 5)
    listing = compose(candidates, replace(PLAIN, k=4, pins={1: 4, 3: 0}))
    assert listing.chosen.tolist() == [1, 4, 2, 0]
    assert listing.pinned.tolist() == [False, True, False, True]
    assert listing.loss == 0
    assert listing.baseline.tolist() == [1, 2, 3, 4, 5]


def test_pins_beyond_the_list_move_to_its_end() -> None:
    candidates = pool([0.9, 0.8, 0.7, 0.6], [H] * 4)
    assert compose(candidates, replace(PLAIN, pins={8: 0, 5: 1})).chosen.tolist() == [2, 3, 1, 0]
    assert compose(candidates, replace(PLAIN, pins={3: 0, 9: 1})).chosen.tolist() == [2, 3, 1, 0]


def test_a_list_may_be_pins_alone() -> None:
    candidates = pool([0.2, 0.9], [T, H])
    listing = compose(candidates, Order(1, Prices(tail=1), Limits(), {0: 0}))
    assert listing.chosen.tolist() == [0]
    assert listing.tail_fraction == 1
    assert objective(listing) == pytest.approx(0.2 / ideal_dcg(candidates, 1) + 1)


def test_pins_of_the_tail_count_for_its_share() -> None:
    candidates = pool([0.9, 0.8, 0.1, 0.1, 0.1], [H, H, T, T, T])
    order = Order(2, Prices(), Limits(min_tail_fraction=0.5), {1: 4})
    assert compose(candidates, order).chosen.tolist() == [0, 4]


def test_a_cap_leaves_out_and_says_so() -> None:
    candidates = pool([0.9, 0.8, 0.7, 0.6], [H] * 4)
    genre = CappedAttribute(np.array([0, 1, 2, 3, 4]), np.array([0, 0, 1, 1]), 1)
    listing = compose(candidates, replace(PLAIN, k=3, caps=(genre,)))
    assert listing.chosen.tolist() == [0, 2]
    assert listing.capped.tolist() == [False, True, False, True]
    assert listing.loss == 0


def test_within_the_caps_the_tail_still_gets_its_least_share() -> None:
    # By relevance the cap would leave items of the head alone.
    candidates = pool([0.9, 0.8, 0.2, 0.1], [H, H, T, T])
    genre = CappedAttribute(np.arange(5), np.array([0, 1, 0, 1]), 1)
    order = Order(2, Prices(), Limits(min_tail_fraction=0.5), {}, (genre,))
    listing = compose(candidates, order)
    assert listing.tail_fraction >= 0.5
    assert not listing.gave_way


def exploring(candidates: Candidates, slots: int, eligible: list[int], **limits: float) -> Order:
    mask = np.isin(np.arange(len(candidates.relevance)), eligible)
    return Order(3, Prices(), Limits(**limits), {}, exploration=Exploration(slots, mask, 0))


def test_drawn_items_appear_as_often_as_stated_and_the_rest_always() -> None:
    candidates = pool([0.9, 0.8, 0.7, 0.4, 0.3, 0.1], [H, T, H, T, T, T])
    order = exploring(candidates, 1, [1, 3, 4, 5])
    assert order.exploration is not None
    draws = 2000
    shown = np.zeros(6)
    stated: dict[int, float] = {}
    for seed in range(draws):
        listing = compose(
            candidates, replace(order, exploration=replace(order.exploration, seed=seed))
        )
        assert listing.chosen[:2].tolist() == [0, 1]
        assert listing.explored.tolist() == [False, False, True]
        shown[listing.chosen] += 1
        drawn = int(listing.chosen[2])
        assert stated.setdefault(drawn, float(listing.propensities[2])) == listing.propensities[2]
    assert stated == pytest.approx({3: 0.5, 4: 0.375, 5: 0.125})
    for item, probability in stated.items():
        assert shown[item] / draws == pytest.approx(probability, abs=0.03)


def test_the_same_seed_draws_the_same() -> None:
    candidates = random_pool(np.random.default_rng(2), 40)
    order = exploring(candidates, 2, list(range(40)))
    lists = [compose(candidates, order).chosen.tolist() for _ in range(2)]
    assert lists[0] == lists[1]


def test_no_draw_breaks_the_budget() -> None:
    candidates = pool([0.9, 0.8, 0.7, 0.65, 0.6, 0.01], [H, H, H, T, T, T])
    order = exploring(candidates, 1, [3, 4, 5], relevance_budget=0.05)
    assert order.exploration is not None
    drawn = set()
    for seed in range(50):
        listing = compose(
            candidates, replace(order, exploration=replace(order.exploration, seed=seed))
        )
        assert listing.loss <= 0.05
        assert not listing.gave_way
        drawn.add(int(listing.chosen[2]))
    assert drawn == {3, 4}


def test_exploration_gives_way_to_the_budget() -> None:
    candidates = pool([0.9, 0.8, 0.7, 0.01, 0.01], [H, H, H, T, T])
    listing = compose(candidates, exploring(candidates, 2, [3, 4], relevance_budget=0.05))
    assert listing.gave_way == {GaveWay.EXPLORATION_TO_BUDGET}
    assert listing.chosen.tolist() == [0, 1, 2]


def test_exploration_gives_way_to_the_least_share_of_the_tail() -> None:
    candidates = pool([0.9, 0.8, 0.7, 0.6, 0.5], [T, T, T, M, M])
    listing = compose(candidates, exploring(candidates, 1, [3, 4], min_tail_fraction=1))
    assert listing.chosen.tolist() == [0, 1, 2]
    assert listing.gave_way == {GaveWay.EXPLORATION_TO_CANDIDATES}


def test_exploration_gives_way_to_the_candidates() -> None:
    candidates = pool([0.9, 0.8, 0.7, 0.1], [H, H, H, T])
    listing = compose(candidates, exploring(candidates, 2, [3]))
    assert listing.gave_way == {GaveWay.EXPLORATION_TO_CANDIDATES}
    assert listing.explored.tolist() == [False, False, True]
    assert listing.propensities[2] == 1


def test_a_catalogue_that_nobody_knows_yet_still_fills_the_list() -> None:
    candidates = random_pool(np.random.default_rng(2), 40)
    listing = compose(candidates, replace(exploring(candidates, 2, list(range(40))), k=10))
    assert listing.explored.sum() == 2
    assert len(listing.chosen) == 10


def test_diversity_grows_with_its_strength() -> None:
    random = np.random.default_rng(6)
    spread = np.zeros(3)
    for _ in range(20):
        relevance = random.uniform(0.1, 1, 60)
        candidates = Candidates(relevance, np.full(60, T, np.int8), np.zeros(60))
        vectors = random.normal(size=(60, 4)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        for at, strength in enumerate((0.0, 0.3, 0.9)):
            order = replace(PLAIN, diversity=strength, vectors=vectors)
            spread[at] += intra_list_diversity(vectors[compose(candidates, order).chosen])
    assert spread[0] < spread[1] < spread[2]


def test_diversity_gives_way_to_the_budget() -> None:
    candidates = pool([0.9, 0.8, 0.1], [H] * 3)
    vectors = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    order = Order(2, Prices(), Limits(), {}, diversity=1.0, vectors=vectors)
    assert compose(candidates, order).chosen.tolist() == [0, 2]
    listing = compose(candidates, replace(order, limits=Limits(relevance_budget=0.02)))
    assert listing.chosen.tolist() == [0, 1]
    assert listing.gave_way == {GaveWay.DIVERSITY_TO_BUDGET}


def test_no_list_within_a_cap_of_one_attribute_is_more_relevant() -> None:
    random = np.random.default_rng(9)
    for _ in range(100):
        candidates = random_pool(random, 7)
        genre = CappedAttribute(np.arange(8), random.integers(0, 3, 7), int(random.integers(1, 3)))
        listing = compose(candidates, Order(3, Prices(), Limits(), {}, (genre,)))
        k = len(listing.chosen)
        best = max(
            float(np.sort(candidates.relevance[list(items)])[::-1] @ discounts(k))
            for items in itertools.combinations(range(7), k)
            if not breaks(genre, list(items))
        )
        assert listing.gains.sum() * ideal_dcg(candidates, k) == pytest.approx(best)


def test_everything_at_once_is_the_same_twice() -> None:
    random = np.random.default_rng(12)
    candidates = random_pool(random, 30)
    order = random_order(random, 30, 0.1)
    one, other = compose(candidates, order), compose(candidates, order)
    assert one.chosen.tolist() == other.chosen.tolist()
    assert one.gave_way == other.gave_way


def test_the_mask_of_pins_and_draws_never_overlap() -> None:
    random = np.random.default_rng(13)
    for _ in range(200):
        candidates = random_pool(random, 20)
        listing = compose(candidates, random_order(random, 20, 1.0))
        overlap: NDArray[np.bool_] = listing.pinned & listing.explored
        assert not overlap.any()
