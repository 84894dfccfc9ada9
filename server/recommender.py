"""From a person, a query and examples to a list: interest, candidates, re-ranking."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from runtime.errors import FailedPrecondition, InvalidArgument, Violation
from server.candidates import Candidates, Floats, ItemExample, Pool
from server.ranking.diversity import intra_list_diversity
from server.ranking.interest import CancelledInterestError, Interest, Weighted, fuse
from server.ranking.quota import Policy, Selection, select
from server.store.record_store import RecordStore
from server.store.records import Vector
from server.view import CatalogueView


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
    min_revision: int


@dataclass(frozen=True)
class Answer:
    """A list, the pool it was chosen from, what was left out. `selection` is None when empty."""

    pool: Pool
    selection: Selection | None
    seen: frozenset[str]
    missing: tuple[str, ...]
    revision: int
    intra_list_diversity: float
    search_seconds: float
    ranking_seconds: float


class Recommender:
    """Recommends from a catalogue view, with `candidates` items per request to choose from."""

    def __init__(self, store: RecordStore, view: CatalogueView, candidates: int) -> None:
        self._store = store
        self._view = view
        self._candidates = Candidates(view, candidates)

    def answer(self, wish: Wish) -> Answer:
        """Return the list for `wish`.

        Raises FailedPrecondition when `min_revision` is not reached, InvalidArgument when the wish
        cancels itself.
        """
        started = time.perf_counter()
        if wish.min_revision > self._view.revision:
            raise FailedPrecondition(
                f"min_revision {wish.min_revision} is ahead of the catalogue, "
                f"which is at revision {self._view.revision}"
            )
        history = self._store.interactions.history(wish.user_id) if wish.user_id else []
        seen = frozenset(
            past.item_id for past in history if not wish.seen_types or past.type in wish.seen_types
        )
        with self._view.reading():
            revision = self._view.revision
            item_examples, missing = self._candidates.resolve(wish.item_examples)
            interest = _interest(wish, item_examples, self._candidates.recall(history))
            left_out = wish.excluded | {example.item_id for example in wish.item_examples}
            if not wish.allow_seen:
                left_out |= seen
            pool = self._candidates.pool(interest, left_out, wish.page_size)
        searched = time.perf_counter()
        k = min(wish.page_size, len(pool.ids))
        selection = select(pool.relevance, pool.tail, k, wish.policy) if k else None
        diversity = intra_list_diversity(pool.vectors[selection.chosen]) if selection else 0.0
        return Answer(
            pool=pool,
            selection=selection,
            seen=seen,
            missing=missing,
            revision=revision,
            intra_list_diversity=diversity,
            search_seconds=searched - started,
            ranking_seconds=time.perf_counter() - searched,
        )

    def place(self, pool: Pool, item_id: str) -> tuple[Floats, float] | None:
        """Return an item's similarity parts (3,) and relevance on the scale of `pool`.

        None when the catalogue does not hold it.
        """
        with self._view.reading():
            return self._candidates.place(pool, item_id)


def _interest(
    wish: Wish, item_examples: Sequence[Weighted], history: Sequence[Weighted]
) -> Interest | None:
    try:
        return fuse(wish.query, (*wish.examples, *item_examples), history)
    except CancelledInterestError:
        raise InvalidArgument(
            Violation("examples", "the weights cancel each other: nothing is left to be near to")
        ) from None
