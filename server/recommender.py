"""From a person, a query and examples to a list: interest, candidates, re-ranking."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from runtime.errors import FailedPrecondition, InvalidArgument, Violation
from server.candidates import HISTORY_LENGTH, Candidates, ItemExample, Placed, Pool
from server.columns.filter import Filter, FilterTypeError
from server.ranking.diversity import intra_list_diversity
from server.ranking.interest import CancelledInterestError, Interest, Weighted, fuse
from server.ranking.quota import Policy, Selection, select
from server.state import CatalogueState, Sight
from server.store.clock import now
from server.store.record_store import RecordStore
from server.store.records import Vector
from server.view import CatalogueView

# Interactions read to find those that shape an interest: an item may come again and again.
LOOKBACK = 4 * HISTORY_LENGTH


@dataclass(frozen=True)
class Wish:
    """A validated request. `query` (d,) and the vectors of `examples` are unit vectors."""

    user_id: str
    query: Vector | None
    examples: tuple[Weighted, ...]
    item_examples: tuple[ItemExample, ...]
    excluded: frozenset[str]
    seen_types: frozenset[str]
    allow_seen: bool
    page_size: int
    policy: Policy
    filter: Filter | None
    min_revision: int


@dataclass(frozen=True)
class Answer:
    """A list, the pool it was chosen from, what was left out. `selection` is None when empty."""

    state: CatalogueState
    sight: Sight
    pool: Pool
    selection: Selection | None
    seen: frozenset[str]
    missing: tuple[str, ...]
    intra_list_diversity: float
    search_seconds: float
    ranking_seconds: float


class Recommender:
    """Recommends from a catalogue view, with `candidates` items per request to choose from."""

    def __init__(self, store: RecordStore, view: CatalogueView, candidates: int) -> None:
        self._store = store
        self._view = view
        self._size = candidates

    async def state(self, min_revision: int) -> CatalogueState:
        """Return the state to answer from, at `min_revision` or later.

        Raises FailedPrecondition when the catalogue is not there yet.
        """
        if self._view.revision < min_revision:
            # Another process may have written it.
            await asyncio.to_thread(self._view.follow)
        if self._view.revision < min_revision:
            raise FailedPrecondition(
                f"min_revision {min_revision} is ahead of the catalogue, "
                f"which is at revision {self._view.revision}"
            )
        return self._view.state

    def answer(self, state: CatalogueState, wish: Wish) -> Answer:
        """Return the list for `wish`, whose vectors are of the state's encoder.

        Raises InvalidArgument when the wish cancels itself, or its filter does not fit.
        """
        started = time.perf_counter()
        interactions = self._store.interactions
        history = interactions.history(wish.user_id, LOOKBACK) if wish.user_id else []
        seen = (
            interactions.seen_items(wish.user_id, wish.seen_types)
            if wish.user_id and not wish.allow_seen
            else frozenset[str]()
        )
        sight = state.sight(now(), wish.filter)
        candidates = Candidates(state, sight, self._size)
        item_examples, missing = candidates.resolve(wish.item_examples)
        interest = _interest(wish, item_examples, candidates.recall(history))
        left_out = wish.excluded | {example.item_id for example in wish.item_examples} | seen
        try:
            pool = candidates.pool(interest, left_out, wish.page_size)
        except FilterTypeError as error:
            raise InvalidArgument(Violation(error.path, error.message).inside("filter")) from None
        searched = time.perf_counter()
        k = min(wish.page_size, len(pool.ids))
        selection = select(pool.relevance, pool.tail, k, wish.policy) if k else None
        diversity = intra_list_diversity(pool.vectors[selection.chosen]) if selection else 0.0
        return Answer(
            state=state,
            sight=sight,
            pool=pool,
            selection=selection,
            seen=seen,
            missing=missing,
            intra_list_diversity=diversity,
            search_seconds=searched - started,
            ranking_seconds=time.perf_counter() - searched,
        )

    def place(self, answer: Answer, item_id: str) -> Placed | None:
        """Return where an item stands on the scale of an answer's pool.

        None when the catalogue does not hold it.
        """
        return Candidates(answer.state, answer.sight, self._size).place(answer.pool, item_id)


def _interest(
    wish: Wish, item_examples: Sequence[Weighted], history: Sequence[Weighted]
) -> Interest | None:
    try:
        return fuse(wish.query, (*wish.examples, *item_examples), history)
    except CancelledInterestError:
        raise InvalidArgument(
            Violation("examples", "the weights cancel each other: nothing is left to be near to")
        ) from None
