"""What one request is after, and how any item of the catalogue looks from there."""

from dataclasses import dataclass
from itertools import islice

import numpy as np
from longtail.runtime.errors import InvalidArgument, Violation
from longtail.server.catalogue.scope import Scope
from longtail.server.catalogue.state import CatalogueState
from longtail.server.ranking.behaviour import Behaviour
from longtail.server.ranking.evidence import Evidence
from longtail.server.ranking.interest import (
    CancelledInterestError,
    Interest,
    Part,
    Weighted,
    interests,
)
from longtail.server.ranking.profile import Context
from longtail.server.ranking.taste import taste
from longtail.server.recommend.person import Person
from longtail.server.recommend.pool import Floats, Ints, Matrix
from longtail.server.recommend.remembered import ItemExamples, Past, examples_of, liked_of, past_of
from longtail.server.recommend.request import Wish

# The latest items of a history that shape interests: older ones are left without weight.
INTEREST_LENGTH = 50
# A like leads half as strongly to others as one that is so many likes more recent: of all likes,
# and of the last few.
HALF_LIFE, RECENT_HALF_LIFE = 30.0, 3.0


@dataclass(frozen=True)
class Gathered:
    """n items and what is known of each.

    `rows` (n,): in the columns. `vectors` (n, d): of length 1. `mass` (n,): popularity. `parts`
    (n, 3): of the cosine to the nearest interest, by Part.
    """

    ids: list[str]
    rows: Ints
    vectors: Matrix
    mass: Floats
    parts: Floats
    evidence: Evidence


class Standpoint:
    """A wish in a state of the catalogue, and what is known of its person.

    `interests`: the largest first, none where there is nothing to go by. `context`: what they come
    from. `missing`: examples' ids that the catalogue does not hold. `left_out`: ids that are not to
    be recommended. `scores` (items of behaviour,): how strongly likes lead to each.

    Raises InvalidArgument when the wish cancels itself.
    """

    def __init__(
        self,
        state: CatalogueState,
        scope: Scope,
        behaviour: Behaviour,
        wish: Wish,
        person: Person,
    ) -> None:
        self.state = state
        self.scope = scope
        self.scale = state.popularity.scale()
        past = past_of(state, scope.revision, person.history)
        items = examples_of(state, scope.revision, wish.item_examples)
        examples = {example.item_id for example in wish.item_examples}
        self.left_out = wish.excluded | examples | person.seen
        self.missing = items.missing
        self.liked = liked_of(wish.examples, items, past)
        self.taste = taste(state.columns.mass(past.rows[past.likes]), self.scale)
        self.interests = _interests(wish, items, past)
        self.context = _context(wish, self.interests, items, past)
        self._disliked = past.vectors[past.values < 0]
        self._behaviour = behaviour
        self.scores, self._recent_scores = _scores(behaviour, items, past)

    def gather(self, rows: Ints) -> Gathered:
        """Return what is known of the items in `rows` (n,)."""
        columns = self.state.columns
        ids = [columns.ids[row] for row in rows.tolist()]
        vectors = self.state.index.vectors(rows)
        mass = columns.mass(rows)
        parts = self._parts(vectors)
        number_of = self._behaviour.number_of
        numbers = np.fromiter((number_of.get(item_id, -1) for item_id in ids), np.int64, len(ids))
        # What was met with for the first time a moment ago has no score yet.
        met = (numbers >= 0) & (numbers < len(self.scores))
        behaviour, recent, support = np.zeros((3, len(rows)))
        behaviour[met] = self.scores[numbers[met]]
        recent[met] = self._recent_scores[numbers[met]]
        support[met] = self._behaviour.support(numbers[met])
        evidence = Evidence(
            text=parts.sum(axis=1),
            behaviour=behaviour,
            recent=recent,
            aversion=_nearest(vectors, self._disliked),
            support=support,
            popularity=self.scale.relative_log(mass),
            bucket=self.scale.bucket(mass),
        )
        return Gathered(ids, rows, vectors, mass, parts, evidence)

    def behaviour_ids(self, numbers: Ints) -> list[str]:
        """Return the ids of the items that `scores` has at `numbers` (n,)."""
        return [self._behaviour.ids[number] for number in numbers.tolist()]

    def _parts(self, vectors: Matrix) -> Floats:
        if not self.interests:
            return np.zeros((len(vectors), len(Part)))
        directions = np.concatenate([interest.parts for interest in self.interests])
        products = (vectors @ directions.astype(np.float32).T).astype(np.float64)
        products = products.reshape(len(vectors), len(self.interests), len(Part))
        nearest = products.sum(axis=2).argmax(axis=1)
        parts: Floats = products[np.arange(len(vectors)), nearest]
        return parts


def _interests(wish: Wish, items: ItemExamples, past: Past) -> tuple[Interest, ...]:
    examples = [
        *(Weighted(example.vector, example.weight) for example in wish.examples),
        *(
            Weighted(vector, example.weight)
            for vector, example in zip(items.vectors, items.examples, strict=True)
        ),
    ]
    latest = zip(past.vectors, past.values.tolist(), strict=True)
    history = [Weighted(vector, value) for vector, value in islice(latest, INTEREST_LENGTH)]
    try:
        return interests(wish.query, examples, history)
    except CancelledInterestError:
        raise InvalidArgument(
            Violation("examples", "the weights cancel each other: nothing is left to be near to")
        ) from None


def _context(wish: Wish, found: tuple[Interest, ...], items: ItemExamples, past: Past) -> Context:
    if not found:
        return Context.NOTHING
    if wish.query is None and (items.examples or len(past.likes)):
        return Context.HISTORY
    return Context.QUERY


def _scores(behaviour: Behaviour, items: ItemExamples, past: Past) -> list[Floats]:
    """Return how strongly all likes, and the last few, lead to each item of behaviour.

    Examples lead with their weight, in front of the history.
    """
    examples = [items.examples[at] for at in items.wanted.tolist()]
    given = np.array([example.weight for example in examples])
    likes = [past.ids[at] for at in past.likes.tolist()]
    ids = [*(example.item_id for example in examples), *likes]
    numbers = [behaviour.number_of.get(item_id, -1) for item_id in ids]
    met = np.flatnonzero(np.array(numbers, np.int64) >= 0)
    weights = [
        np.concatenate((given, 0.5 ** (np.arange(len(likes)) / half_life)))[met]
        for half_life in (HALF_LIFE, RECENT_HALF_LIFE)
    ]
    return behaviour.scores([numbers[at] for at in met.tolist()], weights)


def _nearest(vectors: Matrix, others: Matrix) -> Floats:
    """Return the cosine (n,) of each of `vectors` (n, d) to the nearest of `others`; 0 of none."""
    if not len(others):
        return np.zeros(len(vectors))
    nearest: Floats = (vectors @ others.T).max(axis=1).astype(np.float64)
    return nearest
