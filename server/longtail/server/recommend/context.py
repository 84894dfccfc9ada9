"""What one request is after: its person, its examples, and the interests that follow from them."""

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import repeat

import numpy as np
from longtail.runtime.errors import InvalidArgument, Violation
from longtail.server.catalogue.columns.columns import NO_ROW
from longtail.server.catalogue.history import HISTORY_LENGTH, history_of
from longtail.server.catalogue.index.vector_index import Mask, VectorIndex
from longtail.server.catalogue.made import MOST_LED, History, Led
from longtail.server.catalogue.people import Person
from longtail.server.catalogue.scope import Scope
from longtail.server.catalogue.spaces.space import ADAPTED, Space
from longtail.server.catalogue.state import CatalogueState
from longtail.server.catalogue.words.word_search import Sought, WordSearch
from longtail.server.ranking.behaviour import Behaviour, Scores
from longtail.server.ranking.interest import (
    CancelledInterestError,
    Interest,
    Matrix,
    Weighted,
    interests,
)
from longtail.server.ranking.popularity import PopularityScale
from longtail.server.ranking.profile import Context
from longtail.server.ranking.taste import Taste, taste
from longtail.server.recommend.in_space import InSpace, in_adapted, in_given
from longtail.server.recommend.request import Request
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# A like leads half as strongly to others as one that is so many likes more recent: of all likes,
# and of the last few.
HALF_LIFE, RECENT_HALF_LIFE = 100.0, 3.0
_DECAYS = 0.5 ** (np.arange(HISTORY_LENGTH) / np.array([[HALF_LIFE], [RECENT_HALF_LIFE]]))
# Of what was liked, but is no example.
NO_POSITION = -1


@dataclass(frozen=True)
class Liked:
    """What was liked, m things, as examples or, after these, in a history.

    `item_ids` are empty, and `rows` (m,) NO_ROW, for texts and vectors; `positions` are those of
    the request's examples, NO_POSITION for items of the history. `examples` (e, d): the vectors of
    the former; those of the others are in the `index`.
    """

    item_ids: Sequence[str]
    rows: Ints
    positions: Sequence[int]
    examples: Matrix
    index: VectorIndex

    @cached_property
    def vectors(self) -> Matrix:
        """The vectors (m, d)."""
        past = self.index.vectors(self.rows[len(self.examples) :])
        return np.concatenate((self.examples, past)) if len(self.examples) else past


@dataclass(frozen=True)
class RequestContext:
    """A request in a state of the catalogue, and what is known of its person.

    `kind`: what there is to go by. `interests`: the largest first, none where there is nothing;
    `beside`: the same in spaces of vectors beside the texts', where they say something.
    `led`: how strongly all likes, and the last few, lead to items of `behaviour`. `taste` is
    that of an unknown person without a history. `disliked` (m, d). `sought`: the words of the query
    and what holds them, None without any. `left_out`: ids that are not to be recommended are in one
    of these. `shown`: when items were shown to the person lately, by id, in microseconds since the
    epoch. `missing`: ids of examples and pins that the catalogue lacks.
    """

    request: Request
    state: CatalogueState
    scope: Scope
    popularity: PopularityScale
    behaviour: Behaviour
    kind: Context
    interests: tuple[Interest, ...]
    beside: tuple[InSpace, ...]
    led: Led
    liked: Liked
    disliked: Matrix
    sought: Sought | None
    taste: Taste
    seen: Set[str]
    left_out: Collection[Set[str]]
    shown: Mapping[str, int]
    missing: tuple[str, ...]

    @cached_property
    def given_spaces(self) -> tuple[str, ...]:
        """The spaces of the caller's in which the request says something, by name."""
        return tuple(each.space.name for each in self.beside if each.space.declared is not None)

    def parts_of_words(self, rows: Ints) -> Floats:
        """Return what each word that is looked for adds to the score of `rows` (n,), (m, n)."""
        words: WordSearch | None = self.state.words
        sought = self.sought
        if words is None or sought is None:
            return np.empty((0, len(rows)))
        return words.parts(sought, rows)


def context_of(
    request: Request,
    state: CatalogueState,
    scope: Scope,
    person: Person,
    shown: Mapping[str, int],
    behaviour: Behaviour,
    size: int,
) -> RequestContext:
    """Return the context of a request of `person`, who was `shown` items lately.

    `size`: the candidates that are looked for.

    Raises InvalidArgument when the request's examples cancel each other.
    """
    spaces = state.spaces
    history = history_of(person, state, scope.revision, spaces.get(ADAPTED))
    examples, missing = _examples(request, state, scope, spaces)
    try:
        found = interests(request.query, examples.texts(), history.interests)
        beside = _beside(spaces, request, examples, history) if spaces else ()
    except CancelledInterestError:
        raise InvalidArgument(
            Violation("examples", "the weights cancel each other: nothing is left to be near to")
        ) from None
    popularity = state.popularity.scale()
    seen: Set[str] = frozenset() if request.allow_seen else person.seen(request.seen_types)
    excluded = request.excluded.union(each.item_id for each in request.item_examples)
    left_out = [ids for ids in (seen, excluded) if ids]
    sought = None
    if request.words and request.query is not None and state.words is not None:
        # Those of a later page were found for the first.
        wanted = 0 if request.frozen is not None else size + min(sum(map(len, left_out)), size)
        sought = state.words.search(request.words, wanted, scope)
    return RequestContext(
        request=request,
        state=state,
        scope=scope,
        popularity=popularity,
        behaviour=behaviour,
        kind=_kind(request, examples, history, nothing=not found and not beside),
        interests=found,
        beside=beside,
        led=_led(behaviour, examples, history, person),
        liked=_liked(examples, history, state.index),
        disliked=_disliked(history, state.index),
        sought=sought,
        taste=taste(state.columns.mass(history.rows), popularity),
        seen=seen,
        left_out=left_out,
        shown=shown,
        missing=missing,
    )


@dataclass(frozen=True)
class _Examples:
    """The m examples by texts: those with a vector of their own, then items of the catalogue.

    `item_ids` are empty and `rows` (m,) NO_ROW for the former. `weights` (m,), `vectors` (m, d).
    `texted` (m,): which are meant by the vector of their text, and have one; None for all.
    `spaces`: of each item, the space whose vector of it is meant, empty for all that it has.
    """

    item_ids: list[str]
    rows: Ints
    positions: list[int]
    weights: Floats
    vectors: Matrix
    texted: Mask | None
    spaces: Sequence[str]

    def texts(self) -> Weighted:
        """Return those that are meant by the vector of their text."""
        if self.texted is None:
            return Weighted(self.vectors, self.weights)
        return Weighted(self.vectors[self.texted], self.weights[self.texted])

    def items(self, space: str) -> tuple[Ints, Floats]:
        """Return the rows (n,) and weights (n,) of items, some of which have a vector in a space.

        Not those of which the vector in another one is meant.
        """
        first = len(self.rows) - len(self.spaces)
        meant = [first + at for at, each in enumerate(self.spaces) if each in ("", space)]
        return self.rows[meant], self.weights[meant]


def _examples(
    request: Request, state: CatalogueState, scope: Scope, spaces: Mapping[str, Space]
) -> tuple[_Examples, tuple[str, ...]]:
    """Return the examples of a request, and the ids of those and of pins that there are not.

    Of items that are meant by their vector in a space, those are missing that have none.
    """
    dimension = state.encoder.binding.dimension
    if not request.examples and not request.item_examples and not request.pins:
        return _no_examples(dimension), ()
    given = [each for each in request.examples if not each.space]
    wanted = [each.item_id for each in request.item_examples]
    pinned = [each.item_id for each in request.pins]
    rows = state.columns.rows_at([*wanted, *pinned], scope.revision)
    for at, each in enumerate(request.item_examples):
        if each.space and not (
            each.space in spaces and spaces[each.space].has(rows[at : at + 1]).all()
        ):
            rows[at] = NO_ROW
    missing = [each for each, row in zip([*wanted, *pinned], rows, strict=True) if row == NO_ROW]
    rows = rows[: len(wanted)]
    items = [each for each, row in zip(request.item_examples, rows, strict=True) if row != NO_ROW]
    rows = rows[rows != NO_ROW]
    own = np.array([each.vector for each in given], np.float32).reshape(len(given), dimension)
    meant = [each.space for each in items]
    blank, texted = state.index.are_blank(rows), None
    if blank is not None or any(meant):
        texted = np.ones(len(given) + len(items), np.bool_)
        texted[len(given) :] = [not space for space in meant]
        if blank is not None:
            texted[len(given) :] &= ~blank
    return _Examples(
        item_ids=[*("" for _ in given), *(each.item_id for each in items)],
        rows=np.concatenate((np.full(len(given), NO_ROW), rows)),
        positions=[*(each.position for each in given), *(each.position for each in items)],
        weights=np.array([*(each.weight for each in given), *(each.weight for each in items)]),
        vectors=np.concatenate((own, state.index.vectors(rows))),
        texted=texted,
        spaces=meant,
    ), tuple(dict.fromkeys(missing))


@lru_cache(maxsize=8)
def _no_examples(dimension: int) -> _Examples:
    nothing = np.empty((0, dimension), np.float32)
    return _Examples([], np.empty(0, np.int64), [], np.empty(0), nothing, None, ())


def _kind(request: Request, examples: _Examples, history: History, *, nothing: bool) -> Context:
    if nothing:
        return Context.NOTHING
    return Context.HISTORY if _goes_by_history(request, examples, history) else Context.QUERY


def _goes_by_history(request: Request, examples: _Examples, history: History) -> bool:
    return request.query is None and bool(any(examples.item_ids) or history.item_ids)


def _beside(
    spaces: Mapping[str, Space], request: Request, examples: _Examples, history: History
) -> tuple[InSpace, ...]:
    """Return what a request is after in spaces beside the texts', that of a head first.

    Raises CancelledInterestError when examples in one of the caller's cancel each other.
    """
    by_history = _goes_by_history(request, examples, history)
    found: list[InSpace | None] = []
    adapted = spaces.get(ADAPTED)
    if adapted is not None and by_history:
        found.append(in_adapted(adapted, *examples.items(ADAPTED), history))
    for name in sorted(spaces.keys() - {ADAPTED}):
        own = [(each.vector, each.weight) for each in request.examples if each.space == name]
        rows, weights = examples.items(name)
        # Beside a query or texts a history refines what examples say, and says nothing by itself.
        counts = by_history or own or spaces[name].has(rows).any()
        found.append(in_given(spaces[name], own, rows, weights, history if counts else None))
    return tuple(each for each in found if each is not None)


def _disliked(history: History, index: VectorIndex) -> Matrix:
    blank = index.are_blank(history.disliked)
    return index.vectors(history.disliked if blank is None else history.disliked[~blank])


def _liked(examples: _Examples, history: History, index: VectorIndex) -> Liked:
    """Return all that was liked: of the examples those to be near to, then of the history."""
    if not len(examples.rows):
        positions = [NO_POSITION] * len(history.rows)
        return Liked(history.item_ids, history.rows, positions, examples.vectors, index)
    wanted = np.flatnonzero(examples.weights > 0)
    return Liked(
        [*(examples.item_ids[at] for at in wanted.tolist()), *history.item_ids],
        np.concatenate((examples.rows[wanted], history.rows)),
        [
            *(examples.positions[at] for at in wanted.tolist()),
            *repeat(NO_POSITION, len(history.rows)),
        ],
        examples.vectors[wanted],
        index,
    )


def kept_led(behaviour: Behaviour, person: Person, history: History) -> Led | None:
    """Return what a history leads to as it was kept with the person, where that is still so."""
    led = person.made.led
    if led is None or led.history is not history or not behaviour.holds(led.scores):
        return None
    # What nobody had met with may have been met with since.
    return led if len(led.scores.liked) == len(history.item_ids) else None


def _led(behaviour: Behaviour, examples: _Examples, history: History, person: Person) -> Led:
    """Return how strongly all likes, and the last few, lead to items of behaviour.

    Examples lead with their weight, in front of the history. What a history leads to by itself is
    kept with the person.
    """
    leading = []
    if examples.item_ids:
        each = zip(examples.item_ids, examples.weights.tolist(), strict=True)
        leading = [(item_id, weight) for item_id, weight in each if item_id and weight > 0]
    known = None if leading else kept_led(behaviour, person, history)
    if known is not None:
        return known
    ids = [*(item_id for item_id, _ in leading), *history.item_ids]
    if not ids:
        return Led(history, _NOWHERE)
    numbers = np.array(list(map(behaviour.number_of.get, ids, repeat(-1))), np.int64)
    met = numbers >= 0
    weights = _DECAYS[:, : len(history.item_ids)]
    if leading:
        given = np.tile([weight for _, weight in leading], (len(weights), 1))
        weights = np.concatenate((given, weights), axis=1)
    led = Led(history, behaviour.scores(numbers[met].tolist(), weights[:, met]))
    if not leading and len(led.scores.numbers) <= MOST_LED:
        person.made.lead(led)
    return led


_NOBODY = np.empty(0, np.int64)
_NOWHERE = Scores(_NOBODY, np.empty((len(_DECAYS), 0)), _NOBODY, _NOBODY)
