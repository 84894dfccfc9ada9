"""What a run of the ranking bench gives to its sections: an invented catalogue and its people."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from longtail.server.catalogue.behaviour import BehaviourView
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.recommend.recommender import Recommender
from longtail.server.recommend.request import Policy, Wish
from longtail.server.store.clock import now
from longtail.server.store.records import EncoderBinding, Interaction, ItemContent
from longtail.server.upkeep.profile_watch import ProfileWatch

from bench.index.prepared import opened, prepare
from bench.texts import SEED

# The time of ranking depends on the pool, not on the catalogue that it was drawn from.
ITEMS, DIMENSION, GENRES = 2000, 384, 20
PEOPLE, LIKES = 200, 20
_NOTHING = Wish(
    user_id="",
    query=None,
    examples=(),
    item_examples=(),
    excluded=frozenset(),
    seen_types=frozenset(),
    allow_seen=False,
    page_size=0,
    filter=None,
    policy=Policy(0.0),
)


@dataclass(frozen=True)
class RankingBench:
    """A recommender of each pool size over one catalogue, and how much is asked of it.

    `requests` are those of one kind and size in each of the `rounds`.
    """

    view: CatalogueReplica
    recommenders: dict[int, Recommender]
    rounds: int
    requests: int
    say: Callable[[str], None]

    def seconds(self, candidates: int, k: int, policy: Policy, number: int) -> float:
        """Return what ranking took of a request of one of the people."""
        user_id = f"person {number % PEOPLE}"
        wish = replace(_NOTHING, user_id=user_id, page_size=k, policy=policy)
        answer = self.recommenders[candidates].answer(self.view.state, wish)
        if len(answer.pool.ids) != candidates or len(answer.remaining) != candidates - k:
            raise ValueError(f"{len(answer.pool.ids)} candidates, {len(answer.remaining)} left")
        return answer.ranking_seconds


@contextmanager
def prepared(
    folder: Path, sizes: tuple[int, ...], rounds: int, requests: int, say: Callable[[str], None]
) -> Iterator[RankingBench]:
    """Make the catalogue in `folder` and open it; `sizes` are those of the pools."""
    random = np.random.default_rng(SEED)
    vectors = random.normal(size=(ITEMS, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    # Pools have items of every bucket then: with few ways to share the places there is less to do.
    popularity = 10 * random.lognormal(0.0, 1.0, ITEMS)
    genres = random.integers(GENRES, size=ITEMS).tolist()
    contents = [
        ItemContent(f"item {at}", f"item {at}", "", {"genre": f"genre {genre}"}, prior)
        for at, (genre, prior) in enumerate(zip(genres, popularity.tolist(), strict=True))
    ]
    home = prepare(EncoderBinding("invented@1", DIMENSION), contents, vectors, folder, say)
    with opened(home) as catalogue:
        share, moment = popularity / popularity.sum(), now()
        events = [
            Interaction(
                f"event {person} {item}",
                f"person {person}",
                f"item {item}",
                "rating",
                1.0,
                moment - at,
                "",
            )
            for person in range(PEOPLE)
            for at, item in enumerate(random.choice(ITEMS, LIKES, replace=False, p=share).tolist())
        ]
        store = catalogue.store
        catalogue.commit.submit(lambda tx: store.interactions.write(tx, events)).result()
        with BehaviourView(store) as behaviour:
            profiles = ProfileWatch(folder / "ranking-profile.json")
            recommenders = {
                size: Recommender(store, catalogue.view, behaviour, profiles, size)
                for size in sizes
            }
            yield RankingBench(catalogue.view, recommenders, rounds, requests, say)
