"""Answers made by hand, over a real state, for what is said of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from longtail.server.catalogue.columns.columns import NO_ROW
from longtail.server.catalogue.history import NOTHING
from longtail.server.catalogue.made import Led
from longtail.server.catalogue.people import People
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.catalogue.state import CatalogueState
from longtail.server.ranking.behaviour import Behaviour, Scores
from longtail.server.ranking.evidence import FEATURES, SIGNALS, Evidence, PoolScale
from longtail.server.ranking.interest import Interest
from longtail.server.ranking.listing import GaveWay, Listing
from longtail.server.ranking.places import discounts
from longtail.server.ranking.profile import Context
from longtail.server.ranking.quota import Prices, Saturation
from longtail.server.ranking.relevance import RelevanceModel
from longtail.server.ranking.taste import taste
from longtail.server.recommend.answer import Answer, Moments
from longtail.server.recommend.context import Floats, Liked, RequestContext
from longtail.server.recommend.request import Policy, Request
from longtail.server.recommend.scoring import Candidates
from longtail.server.store.decisions import DecisionRecords
from longtail.server.store.items import ItemRecords

from tests.unit.server.catalogues import DIMENSION, NOW, item, opened, unit, view_of

MODEL = RelevanceModel.of(-0.5, {"text": 1.0, "behaviour": 0.5, "popularity": 0.25})
NOBODY = np.empty(0, np.int64)
REQUEST = Request(Policy(0.3), query=unit(0), page_size=3)


def liked_of(state: CatalogueState, *item_ids: str, positions: Sequence[int]) -> Liked:
    """Return what was liked: items of the catalogue and, for an empty id, a text."""
    rows = state.columns.rows_at(item_ids, state.revision)
    vectors = np.tile(unit(0), (len(rows), 1))
    vectors[rows != NO_ROW] = state.index.vectors(rows[rows != NO_ROW])
    return Liked(item_ids, rows, positions, vectors, state.index)


def context_of(
    state: CatalogueState,
    request: Request = REQUEST,
    **values: Any,  # noqa: ANN401
) -> RequestContext:
    """Return the context of a request of a person without a history, changed by `values`."""
    scale = state.popularity.scale()
    context = RequestContext(
        request=request,
        state=state,
        scope=state.scope(NOW, request.filter),
        popularity=scale,
        behaviour=Behaviour(),
        kind=Context.QUERY,
        interests=(Interest(unit(0), [], np.empty((0, DIMENSION)), 1.0),),
        beside=(),
        led=Led(NOTHING, Scores(NOBODY, np.empty((2, 0)), NOBODY, NOBODY)),
        liked=liked_of(state, positions=()),
        disliked=np.empty((0, DIMENSION), np.float32),
        sought=None,
        taste=taste(np.empty(0), scale),
        seen=frozenset(),
        left_out=(),
        shown={},
        missing=(),
    )
    return replace(context, **values)


def candidates_of(state: CatalogueState, ids: Sequence[str]) -> Candidates:
    """Return candidates for the query of REQUEST, with rules and penalties at work on some."""
    n = len(ids)
    rows = state.columns.rows_at(ids, state.revision)
    vectors = state.index.vectors(rows)
    mass = state.columns.mass(rows)
    parts = np.zeros((n, 3))
    parts[:, 0] = vectors @ unit(0)
    random = np.random.default_rng(n)
    features = random.normal(size=(n, len(FEATURES)))
    estimate = MODEL.probability(features)
    rule_factor = np.where(np.arange(n) % 2, 2.0, 1.0)
    penalty, rotation = random.uniform(0, 0.2, (2, n))
    odds = estimate / (1 - estimate) * rule_factor
    behaviour = random.uniform(size=n)
    zeros = np.zeros(n)
    bucket = state.popularity.scale().bucket(mass)
    return Candidates(
        ids=list(ids),
        rows=rows,
        vectors=vectors,
        mass=mass,
        parts=parts,
        beside=(),
        word_parts=np.empty((n, 0)),
        evidence=Evidence(parts[:, 0], behaviour, zeros, zeros, zeros, zeros, zeros, zeros, bucket),
        scale=PoolScale(np.zeros(SIGNALS), np.ones(SIGNALS)),
        features=features,
        model=MODEL,
        estimate=estimate,
        rule_factor=rule_factor,
        penalty=penalty,
        rotation=rotation,
        relevance=odds / (1 + odds) * (1 - penalty) * (1 - rotation),
        rarity=zeros,
    )


def listing_of(
    relevance: Floats,
    chosen: Sequence[int],
    *,
    pinned: Sequence[int] = (),
    explored: Sequence[int] = (),
    capped: Sequence[int] = (),
    gave_way: frozenset[GaveWay] = frozenset(),
    saturation: Saturation | None = None,
) -> Listing:
    """Return a list; `pinned` and `explored` are places, `capped` are candidates."""
    n, k = len(relevance), len(chosen)
    places = np.arange(k)
    baseline = np.empty(n, np.int64)
    baseline[np.argsort(-relevance, kind="stable")] = np.arange(1, n + 1)
    return Listing(
        chosen=np.array(chosen),
        gains=relevance[list(chosen)] * discounts(k) / 1.5,
        tail_bonuses=0.1 / (places + 3),
        coverage_bonuses=0.01 / (places + 7),
        taste_share=-0.1 / 3,
        propensities=np.where(np.isin(places, explored), 0.25, 1.0),
        pinned=np.isin(places, pinned),
        explored=np.isin(places, explored),
        baseline=baseline,
        capped=np.isin(np.arange(n), capped),
        loss=0.125,
        tail_fraction=1 / 3,
        taste_divergence=0.0625,
        gave_way=gave_way,
        saturation=saturation,
    )


def answer_of(context: RequestContext, candidates: Candidates, listing: Listing | None) -> Answer:
    return Answer(
        context=context,
        candidates=candidates,
        policy=context.request.policy,
        prices=Prices(tail=0.09, coverage=0.01, taste=0.1),
        listing=listing,
        copies=False,
        intra_list_diversity=0.75,
        profile="default@0",
        moments=Moments(begun=1.0, understood=1.125, found=1.25, ranking=1.25, ranked=1.375),
    )


@dataclass(frozen=True)
class SmallCatalogue:
    """Eight items a to h, each more popular than the one before, and one that people liked."""

    replica: CatalogueReplica
    people: People
    records: ItemRecords
    decisions: DecisionRecords

    @property
    def state(self) -> CatalogueState:
        return self.replica.state


@contextmanager
def small_catalogue(folder: Path) -> Iterator[SmallCatalogue]:
    """Write and load the catalogue; its odd items and `past` share genre and colour."""
    with opened(folder) as written:
        items = [
            item(name, seed, prior=2.0**seed, genre="crime", colour=["blue", "red"][seed % 2])
            for seed, name in enumerate("abcdefgh", 1)
        ]
        past = item("past", 50, prior=1.0, genre="crime", colour="red")
        written.upsert(*items, past)
        store = written.store
        yield SmallCatalogue(view_of(written, folder), People(store), store.items, store.decisions)
