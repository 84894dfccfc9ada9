"""What the store knows of the person whom a request is for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from longtail.server.recommend.request import Wish
from longtail.server.store.record_store import RecordStore
from longtail.server.store.records import PastInteraction

# Items of a history that count, and the interactions read to find them: an item may come again and
# again.
HISTORY_LENGTH, LOOKBACK = 100, 200
# After so many half-lives rotation forgets: what is left then is a thousandth.
ROTATION_HALF_LIVES = 10
# The latest impressions that rotation looks at.
ROTATED = 1000


@dataclass(frozen=True)
class Person:
    """What a person did, the latest first; what they have seen; what they were shown lately, when.

    `shown`: microseconds since the epoch by item.
    """

    history: Sequence[PastInteraction]
    seen: frozenset[str]
    shown: Mapping[str, int]


NOBODY = Person((), frozenset(), {})


def recall(store: RecordStore, wish: Wish, now: int) -> Person:
    """Return what is known of the person of a wish, as far as the wish asks for it."""
    if not wish.user_id:
        return NOBODY
    interactions = store.interactions
    shown: Mapping[str, int] = {}
    if wish.rotation is not None and wish.rotation.rate:
        since = now - ROTATION_HALF_LIVES * wish.rotation.half_life
        shown = dict(store.impressions.recent(wish.user_id, since, ROTATED))
    return Person(
        interactions.history(wish.user_id, LOOKBACK),
        frozenset() if wish.allow_seen else interactions.seen_items(wish.user_id, wish.seen_types),
        shown,
    )
