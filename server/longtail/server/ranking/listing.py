"""One list out of a pool: pins, caps, exploration and diversity around the exact selection."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from longtail.server.ranking.caps import CappedAttribute, within, without_room
from longtail.server.ranking.divergence import taste_divergence
from longtail.server.ranking.exploration import inclusion_probabilities, systematic_sample
from longtail.server.ranking.filling import Filling, Frame, GaveWay, fill
from longtail.server.ranking.orders import Diversity
from longtail.server.ranking.places import discounts
from longtail.server.ranking.popularity import Bucket
from longtail.server.ranking.quota import (
    BUCKETS,
    ROUNDING,
    Candidates,
    Limits,
    Prices,
    Saturation,
    ideal_dcg,
    relative_loss,
)
from numpy.typing import NDArray

__all__ = ["CappedAttribute", "Exploration", "GaveWay", "Listing", "Order", "compose"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Exploration:
    """`slots` places for candidates among `eligible` (n,), drawn from `seed`."""

    slots: int
    eligible: Mask
    seed: int


@dataclass(frozen=True)
class Order:
    """What a list of at most `k` items is to be like.

    `pins`: candidate by place, from 0. `diversity`: 0 to 1; above 0 it needs the `vectors` (n, d).
    """

    k: int
    prices: Prices
    limits: Limits
    pins: dict[int, int]
    caps: tuple[CappedAttribute, ...] = ()
    exploration: Exploration | None = None
    diversity: float = 0.0
    vectors: Matrix | None = None


class Listing(NamedTuple):
    """The list of k items, and what each adds to its objective.

    `chosen` (k,): positions in the pool, in the order of display. `gains`, `tail_bonuses` and
    `coverage_bonuses` (k,), and `taste_share`, the same for each and not above zero, add up to the
    objective. `propensities` (k,): probability of the draw, 1 for what was not drawn. `pinned` and
    `explored` (k,). `baseline` (n,): each candidate's place by relevance alone, from 1. `capped`
    (n,): not in the list, and one more of it would break a cap. `loss`: share of the expected DCG
    of the most relevant list with the same pins and caps that was given up. `saturation`: why no
    higher price of the tail brings more of it; None where it does.
    """

    chosen: Ints
    gains: Floats
    tail_bonuses: Floats
    coverage_bonuses: Floats
    taste_share: float
    propensities: Floats
    pinned: Mask
    explored: Mask
    baseline: Ints
    capped: Mask
    loss: float
    tail_fraction: float
    taste_divergence: float
    gave_way: frozenset[GaveWay]
    saturation: Saturation | None


def compose(candidates: Candidates, order: Order) -> Listing:
    """Return the best list for an order; n and order.k are at least 1."""
    by_relevance = (-candidates.relevance).argsort(kind="stable")
    frame = _frame(candidates, order, by_relevance)
    filling = fill(frame)
    explored = np.empty(0, np.int64)
    probabilities = np.empty(0)
    if filling.slots and order.exploration:
        probability = inclusion_probabilities(candidates.relevance[filling.drawable], filling.slots)
        drawn = systematic_sample(probability, np.random.default_rng(order.exploration.seed))
        explored, probabilities = filling.drawable[drawn], probability[drawn]
    listing = _listing(frame, filling, explored, probabilities)
    listing.baseline[by_relevance] = np.arange(1, len(by_relevance) + 1)
    if order.caps:
        _mark_capped(listing, order.caps)
    return listing


def _frame(candidates: Candidates, order: Order, by_relevance: Ints) -> Frame:
    relevance = candidates.relevance
    pinned = np.fromiter(order.pins.values(), np.int64, len(order.pins))
    unpinned = by_relevance[~np.isin(by_relevance, pinned)] if order.pins else by_relevance

    def capped(items: Ints) -> Ints:
        return within(order.caps, order.pins.values(), items)

    most_relevant = capped(unpinned)
    k = min(order.k, len(most_relevant) + len(pinned))
    weights, free, places = discounts(k), np.arange(k), pinned
    free_weights, held, taken = weights, (0,) * BUCKETS, 0.0
    if order.pins:
        places = _places_of_pins(order.pins, k)
        free = np.delete(free, places)
        free_weights = weights[free]
        held = tuple(np.bincount(candidates.bucket[pinned], minlength=BUCKETS).tolist())
        taken = float(relevance[pinned] @ weights[places])
    diversity = None
    if order.diversity > 0 and order.vectors is not None:
        diversity = Diversity(order.diversity, order.vectors)
    return Frame(
        candidates=candidates,
        prices=order.prices,
        limits=order.limits,
        unpinned=unpinned,
        capped=capped,
        most_relevant=most_relevant,
        diversity=diversity,
        eligible=order.exploration.eligible if order.exploration else None,
        slots=order.exploration.slots if order.exploration else 0,
        pinned=pinned,
        pinned_places=places,
        free=free,
        discounts=weights,
        free_discounts=free_weights,
        held=held,
        taken=taken,
        reference=float(relevance[most_relevant[: len(free)]] @ free_weights) + taken,
    )


def _places_of_pins(pins: Iterable[int], k: int) -> Ints:
    """Return the places in a list of k; pins beyond it get the last ones that have none."""
    places = np.fromiter(pins, np.int64)
    beyond = np.flatnonzero(places >= k)
    if len(beyond):
        open_places = np.setdiff1d(np.arange(k), places)
        in_order = beyond[np.argsort(places[beyond])]
        places[in_order] = open_places[len(open_places) - len(beyond) :]
    return places


def _listing(frame: Frame, filling: Filling, explored: Ints, probabilities: Floats) -> Listing:
    candidates, prices, k = frame.candidates, frame.prices, len(frame.discounts)
    relevance, selection = candidates.relevance, filling.selection
    chosen, divergence, loss = selection.chosen, selection.divergence, selection.loss
    gains, tail_bonuses = selection.gains, selection.tail_bonuses
    coverage_bonuses = selection.coverage_bonuses
    propensities = np.ones(k)
    is_pinned, is_explored = np.zeros(k, bool), np.zeros(k, bool)
    if len(explored):
        chosen = np.concatenate((chosen, explored))
        places = frame.free[-len(explored) :]
        propensities[places], is_explored[places] = probabilities, True
    if len(frame.pinned):
        is_pinned[frame.pinned_places] = True
        unpinned, chosen = chosen, np.empty(k, np.int64)
        chosen[frame.pinned_places], chosen[frame.free] = frame.pinned, unpinned
    if len(chosen) > len(selection.chosen):
        # The selection is not the whole list.
        gains = relevance[chosen] * frame.discounts / ideal_dcg(candidates, k)
        tail_bonuses = (candidates.bucket[chosen] == Bucket.TAIL) * (prices.tail / k)
        coverage_bonuses = prices.coverage / k * candidates.rarity[chosen]
    tail_fraction, gave_way = selection.tail_fraction, filling.gave_way
    saturation = selection.saturation
    if saturation is not Saturation.LIST and len(frame.most_relevant) < len(frame.unpinned):
        # Within the caps a higher price takes other candidates.
        saturation = None
    if len(explored):
        # The selection took the worst draw for granted, not this one.
        counts = np.bincount(candidates.bucket[chosen], minlength=BUCKETS)
        divergence = float(taste_divergence(candidates.taste, counts[None])[0])
        dcg = np.array([relevance[chosen] @ frame.discounts])
        loss = float(relative_loss(dcg, frame.reference)[0])
        tail_fraction = float(counts[Bucket.TAIL] / k)
        if tail_fraction >= frame.limits.min_tail_fraction - ROUNDING:
            gave_way -= {GaveWay.TAIL_TO_BUDGET, GaveWay.TAIL_TO_CANDIDATES}
    return Listing(
        chosen=chosen,
        gains=gains,
        tail_bonuses=tail_bonuses,
        coverage_bonuses=coverage_bonuses,
        taste_share=0.0 - prices.taste * divergence / k,
        propensities=propensities,
        pinned=is_pinned,
        explored=is_explored,
        baseline=np.empty(len(relevance), np.int64),
        capped=np.zeros(len(relevance), bool),
        loss=loss,
        tail_fraction=tail_fraction,
        taste_divergence=divergence,
        gave_way=gave_way,
        saturation=saturation,
    )


def _mark_capped(listing: Listing, caps: tuple[CappedAttribute, ...]) -> None:
    listing.capped[:] = without_room(caps, listing.chosen, len(listing.capped))
    listing.capped[listing.chosen] = False
