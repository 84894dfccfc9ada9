"""The algorithm, top to bottom: context, candidates, relevance, re-ranking, answer."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from longtail.runtime.errors import InvalidArgument, Violation
from longtail.server.catalogue.columns.columns import NO_ROW
from longtail.server.catalogue.columns.filter import FilterTypeError
from longtail.server.catalogue.columns.values import values_of
from longtail.server.catalogue.people import Person
from longtail.server.catalogue.state import CatalogueState
from longtail.server.ranking.behaviour import Behaviour
from longtail.server.ranking.caps import CappedAttribute
from longtail.server.ranking.dial import Dial
from longtail.server.ranking.diversity import intra_list_diversity
from longtail.server.ranking.evidence import SIGNALS
from longtail.server.ranking.listing import Exploration, Listing, Order, compose
from longtail.server.ranking.profile import RankingProfile
from longtail.server.ranking.quota import Candidates as Choice
from longtail.server.ranking.quota import Limits
from longtail.server.recommend.answer import Answer, Moments
from longtail.server.recommend.candidates import Found, find
from longtail.server.recommend.context import RequestContext, context_of, kept_led
from longtail.server.recommend.request import Policy, Request
from longtail.server.recommend.scoring import Candidates, scored
from longtail.server.store.clock import now

# After so many half-lives rotation forgets: what is left then is a thousandth.
ROTATION_HALF_LIVES = 10
# The latest impressions that rotation looks at.
ROTATED = 1000

# The items that a person was shown since a moment, the latest so many, and when.
Shown = Callable[[str, int, int], Iterable[tuple[str, int]]]


class Profiles(Protocol):
    """The ranking profile to go by; `expected`: how often its lists show each item, by id."""

    profile: RankingProfile
    expected: Mapping[str, float]


@dataclass(frozen=True)
class Searched:
    """The candidates of a request, by which profile they are ranked, and the moments until then."""

    context: RequestContext
    found: Found
    profile: RankingProfile
    expected: Mapping[str, float]
    moments: tuple[float, float, float]


class Recommender:
    """Recommends to persons, with `size` candidates for each request to choose from."""

    def __init__(
        self,
        behaviour: Callable[[], Behaviour],
        profiles: Profiles,
        shown: Shown,
        size: int,
    ) -> None:
        self._behaviour = behaviour
        self._profiles = profiles
        self._shown = shown
        self._size = size

    def recommend(self, state: CatalogueState, request: Request, person: Person) -> Answer:
        """Return the list for a request, whose vectors are of the state's encoder.

        Raises InvalidArgument when its examples cancel each other, or a filter does not fit.
        """
        [answer] = self.compare(state, request, person, [request.policy])
        return answer

    def compare(
        self, state: CatalogueState, request: Request, person: Person, policies: Sequence[Policy]
    ) -> list[Answer]:
        """Return the list under each policy, in place of the request's, from the same candidates.

        Raises InvalidArgument as `recommend` does.
        """
        return self.ranked(self.searched(state, request, person), policies)

    def searched(self, state: CatalogueState, request: Request, person: Person) -> Searched:
        """Return what there is to rank for a request; raises InvalidArgument as `recommend` does.

        That is half of the work; the other half need not follow at once.
        """
        started = time.perf_counter()
        profile, expected = self._profiles.profile, self._profiles.expected
        try:
            # Words are looked for among what passes, as items are.
            context = self._context(state, request, person)
            understood = time.perf_counter()
            found = find(context, self._size, profile.sources)
        except FilterTypeError as error:
            raise InvalidArgument(Violation(error.path, error.message).inside("filter")) from None
        return Searched(
            context, found, profile, expected, (started, understood, time.perf_counter())
        )

    def ranked(self, searched: Searched, policies: Sequence[Policy]) -> list[Answer]:
        """Return the list under each policy, from what was searched for."""
        ranking_started = time.perf_counter()
        context, found, profile = searched.context, searched.found, searched.profile
        request, expected = context.request, searched.expected
        model = profile.models[context.kind].within(context.given_spaces)
        scale = None if request.frozen is None else request.frozen.scale
        if scale is not None and len(scale.mean) != SIGNALS + len(context.given_spaces):
            # A space has come or gone since the first page.
            scale = None
        candidates = scored(context, found.rows, found.vectors, model, expected, scale)
        answers = []
        for policy in policies:
            dial = profile.dials[context.kind]
            order = _order(context, candidates, policy, dial)
            listing = _reranked(context, candidates, order, profile.reach, dial)
            chosen = np.empty(0, np.int64) if listing is None else listing.chosen
            diversity = intra_list_diversity(candidates.vectors[chosen])
            ended = time.perf_counter()
            answers.append(
                Answer(
                    context=context,
                    candidates=candidates,
                    policy=policy,
                    prices=order.prices,
                    listing=listing,
                    copies=found.copies,
                    intra_list_diversity=diversity,
                    profile=profile.version,
                    moments=Moments(*searched.moments, ranking_started, ended),
                )
            )
            ranking_started = ended
        return answers

    def uncounted(self, request: Request, person: Person) -> int:
        """Return of how many likes the neighbours would have to be counted for an answer."""
        behaviour, kept = self._behaviour(), person.made.kept
        examples = [example.item_id for example in request.item_examples]
        if (
            kept is not None
            and kept.person == person.revision
            and not examples
            and kept_led(behaviour, person, kept.history) is not None
        ):
            return 0
        return behaviour.uncounted([*person.likes, *examples])

    def alone(self, answer: Answer, item_id: str) -> Candidates | None:
        """Return any item as the one candidate, on the scale of an answer's.

        None when the catalogue does not hold it.
        """
        context, candidates = answer.context, answer.candidates
        rows = context.state.columns.rows_at([item_id], context.scope.revision)
        if rows[0] == NO_ROW:
            return None
        vectors, expected = context.state.index.vectors(rows), self._profiles.expected
        return scored(context, rows, vectors, candidates.model, expected, candidates.scale)

    def _context(self, state: CatalogueState, request: Request, person: Person) -> RequestContext:
        moment = now()
        shown: Mapping[str, int] = {}
        if request.rotation is not None and request.user_id:
            since = moment - ROTATION_HALF_LIVES * request.rotation.half_life
            shown = dict(self._shown(request.user_id, since, ROTATED))
        scope = state.scope(moment, request.filter)
        return context_of(request, state, scope, person, shown, self._behaviour(), self._size)


def _reranked(
    context: RequestContext, candidates: Candidates, order: Order, reach: float, dial: Dial
) -> Listing | None:
    if not order.k:
        return None
    choice = Choice(
        relevance=candidates.relevance,
        bucket=candidates.evidence.bucket,
        rarity=candidates.rarity,
        taste=context.taste.shares if context.taste.likes else None,
        expected=float(candidates.relevance.sum()) / reach,
    )
    listing = compose(choice, order)
    return listing._replace(loss=dial.measured(listing.loss)) if listing.loss else listing


def _order(context: RequestContext, candidates: Candidates, policy: Policy, dial: Dial) -> Order:
    request = context.request
    k = min(request.page_size, len(candidates.ids))
    exploration = None
    if policy.exploration_slots:
        eligible = candidates.mass <= policy.exploration_popularity
        exploration = Exploration(policy.exploration_slots, eligible, request.seed)
    attributes = context.state.columns.attributes
    return Order(
        k=k,
        prices=dial.prices(policy.strength, policy.knobs),
        limits=Limits(
            policy.limits.min_tail_fraction, dial.expected(policy.limits.relevance_budget)
        ),
        pins=_pins(candidates, request, k),
        caps=tuple(
            CappedAttribute(*values_of(attributes, cap.field, candidates.rows), cap.limit)
            for cap in policy.caps
        ),
        exploration=exploration,
        diversity=policy.diversity,
        vectors=candidates.vectors,
    )


def _pins(candidates: Candidates, request: Request, k: int) -> dict[int, int]:
    """Return the pinned candidates by place; none on a page after the first."""
    if request.frozen is not None or not request.pins:
        return {}
    position = {item_id: at for at, item_id in enumerate(candidates.ids)}
    return {
        pin.place: position[pin.item_id]
        for pin in request.pins
        if pin.item_id in position and pin.place < k
    }
