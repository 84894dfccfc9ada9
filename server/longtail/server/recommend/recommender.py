"""From a person, a query and examples to a list: standpoint, candidates, relevance, re-ranking."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress

import numpy as np
from longtail.runtime.errors import FailedPrecondition, InvalidArgument, Violation
from longtail.server.catalogue.behaviour import BehaviourView
from longtail.server.catalogue.columns.columns import NO_ROW
from longtail.server.catalogue.columns.filter import FilterTypeError
from longtail.server.catalogue.columns.values import values_of
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.catalogue.scope import Scope
from longtail.server.catalogue.state import CatalogueState
from longtail.server.ranking.caps import CappedAttribute
from longtail.server.ranking.diversity import intra_list_diversity
from longtail.server.ranking.evidence import Evidence, PoolScale
from longtail.server.ranking.listing import Exploration, Order, compose
from longtail.server.ranking.profile import RankingProfile
from longtail.server.ranking.quota import Candidates as Choice
from longtail.server.recommend.answer import Answer, Placed
from longtail.server.recommend.candidates import Candidates
from longtail.server.recommend.context import Standpoint
from longtail.server.recommend.person import recall
from longtail.server.recommend.pool import Pool
from longtail.server.recommend.request import Policy, Wish
from longtail.server.recommend.scoring import appraised
from longtail.server.store.clock import now
from longtail.server.store.record_store import RecordStore
from longtail.server.upkeep.profile_watch import ProfileWatch

NOTHING_TO_SCALE = PoolScale(np.zeros(4), np.zeros(4))


@dataclass(frozen=True)
class Drawn:
    """The pool of a wish, to choose any number of lists from, and what it took to find it."""

    state: CatalogueState
    scope: Scope
    wish: Wish
    pool: Pool
    profile: RankingProfile
    seen: frozenset[str]
    missing: tuple[str, ...]
    search_seconds: float
    ranking_seconds: float


class Recommender:
    """Recommends from a catalogue view, with `candidates` items per request to choose from."""

    def __init__(
        self,
        store: RecordStore,
        view: CatalogueReplica,
        behaviour: BehaviourView,
        profiles: ProfileWatch,
        candidates: int,
    ) -> None:
        self._store = store
        self._view = view
        self._behaviour = behaviour
        self._profiles = profiles
        self._size = candidates

    async def state(self, min_revision: int) -> CatalogueState:
        """Return the state to answer from, at `min_revision` or later.

        Raises FailedPrecondition when the catalogue is not there yet.
        """
        if self._view.revision < min_revision:
            # Another process may have written it.
            await asyncio.to_thread(self._follow)
        if self._view.revision < min_revision:
            raise FailedPrecondition(
                f"min_revision {min_revision} is ahead of the catalogue, "
                f"which is at revision {self._view.revision}"
            )
        return self._view.state

    def answer(self, state: CatalogueState, wish: Wish) -> Answer:
        """Return the list for `wish`, whose vectors are of the state's encoder.

        Raises InvalidArgument when the wish cancels itself, or a filter does not fit.
        """
        return _listed(self.draw(state, wish), wish.policy)

    def answers(
        self, state: CatalogueState, wish: Wish, policies: Sequence[Policy]
    ) -> list[Answer]:
        """Return the list under each policy, in place of the wish's, from the same candidates.

        Raises InvalidArgument as `answer` does.
        """
        drawn = self.draw(state, wish)
        return [_listed(drawn, policy) for policy in policies]

    def draw(self, state: CatalogueState, wish: Wish) -> Drawn:
        """Return the candidates for `wish`. Raises InvalidArgument as `answer` does."""
        started = time.perf_counter()
        moment = now()
        person = recall(self._store, wish, moment)
        scope = state.scope(moment, wish.filter)
        standpoint = Standpoint(state, scope, self._behaviour.behaviour, wish, person)
        candidates = Candidates(standpoint, self._size)
        try:
            rows = candidates.rows(wish)
        except FilterTypeError as error:
            raise InvalidArgument(Violation(error.path, error.message).inside("filter")) from None
        gathered = standpoint.gather(rows)
        missing = (*standpoint.missing, *candidates.unknown(wish.pins))
        searched = time.perf_counter()
        profile, expected = self._profiles.profile, self._profiles.expected
        model = profile.models[standpoint.context]
        scale = _scale(wish, gathered.evidence)
        pool = appraised(standpoint, gathered, wish, person, model, scale, expected)
        return Drawn(
            state=state,
            scope=scope,
            wish=wish,
            pool=pool,
            profile=profile,
            seen=person.seen,
            missing=tuple(dict.fromkeys(missing)),
            search_seconds=searched - started,
            ranking_seconds=time.perf_counter() - searched,
        )

    def place(self, answer: Answer, item_id: str) -> Placed | None:
        """Return where an item stands on the scale of an answer's pool.

        None when the catalogue does not hold it.
        """
        state, scope, wish = answer.state, answer.scope, answer.wish
        rows = state.columns.rows_at([item_id], scope.revision)
        if rows[0] == NO_ROW:
            return None
        person = recall(self._store, wish, scope.now)
        standpoint = Standpoint(state, scope, self._behaviour.behaviour, wish, person)
        gathered = standpoint.gather(rows)
        pool = answer.pool
        expected = self._profiles.expected
        alone = appraised(standpoint, gathered, wish, person, pool.model, pool.scale, expected)
        return Placed(
            parts=alone.parts[0],
            features=alone.features[0],
            behaviour=float(alone.evidence.behaviour[0]),
            estimate=float(alone.estimate[0]),
            rule_factor=float(alone.rule_factor[0]),
            penalty=float(alone.penalty[0]),
            rotation=float(alone.rotation[0]),
            relevance=float(alone.relevance[0]),
            mass=float(alone.mass[0]),
        )

    def _follow(self) -> None:
        # In this order, so that what is seen in the catalogue is known of people too.
        self._behaviour.follow()
        self._view.follow()


def _scale(wish: Wish, evidence: Evidence) -> PoolScale:
    if wish.frozen is not None:
        return wish.frozen.scale
    return PoolScale.of(evidence) if len(evidence.text) else NOTHING_TO_SCALE


def _listed(drawn: Drawn, policy: Policy) -> Answer:
    started = time.perf_counter()
    pool, wish = drawn.pool, drawn.wish
    if policy is not wish.policy:
        wish = replace(wish, policy=policy)
    order = _order(drawn, wish)
    choice = Choice(
        relevance=pool.relevance,
        bucket=pool.evidence.bucket,
        rarity=pool.rarity,
        taste=pool.taste.shares if pool.taste.likes else None,
        expected=float(pool.relevance.sum()) / drawn.profile.reach,
    )
    listing = compose(choice, order) if order.k else None
    chosen = np.empty(0, np.int64) if listing is None else listing.chosen
    rest = np.ones(len(pool.ids), np.bool_)
    rest[chosen] = False
    return Answer(
        state=drawn.state,
        scope=drawn.scope,
        wish=wish,
        pool=pool,
        prices=order.prices,
        listing=listing,
        offset=0 if wish.frozen is None else wish.frozen.shown,
        remaining=tuple(compress(pool.ids, rest.tolist())),
        seen=drawn.seen,
        missing=drawn.missing,
        profile=drawn.profile.version,
        intra_list_diversity=intra_list_diversity(pool.vectors[chosen]),
        search_seconds=drawn.search_seconds,
        ranking_seconds=drawn.ranking_seconds + time.perf_counter() - started,
    )


def _order(drawn: Drawn, wish: Wish) -> Order:
    pool, policy = drawn.pool, wish.policy
    k = min(wish.page_size, len(pool.ids))
    exploration = None
    if policy.exploration_slots:
        eligible = pool.mass <= policy.exploration_popularity
        exploration = Exploration(policy.exploration_slots, eligible, wish.seed)
    attributes = drawn.state.columns.attributes
    return Order(
        k=k,
        prices=drawn.profile.dials[pool.context].prices(policy.strength),
        limits=policy.limits,
        pins=_pins(pool, wish, k),
        caps=tuple(
            CappedAttribute(*values_of(attributes, cap.field, pool.rows), cap.limit)
            for cap in policy.caps
        ),
        exploration=exploration,
        diversity=policy.diversity,
        vectors=pool.vectors,
    )


def _pins(pool: Pool, wish: Wish, k: int) -> dict[int, int]:
    """Return the pinned candidates by place; none on a page after the first."""
    if wish.frozen is not None or not wish.pins:
        return {}
    position = {item_id: at for at, item_id in enumerate(pool.ids)}
    return {
        pin.place: position[pin.item_id]
        for pin in wish.pins
        if pin.item_id in position and pin.place < k
    }
