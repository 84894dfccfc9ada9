"""The time that ranking takes of a request, by the server's own account: plain, and with extras."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.json_format import ParseDict
from longtail.v1.item_pb2 import Item
from longtail.v1.recommendation_service_pb2 import RecommendRequest, RecommendResponse

from bench.figures import Measured, Sections, percentile
from bench.load import checked, closed_loop
from bench.request.context import RECOMMEND, Context
from bench.request.homes import home_of, write_items, write_likes
from bench.texts import SEED

__all__ = ["SECTIONS", "Context"]

SECTIONS: Sections[Context] = Sections()

# The time of ranking depends on the pool, not on the catalogue that it was drawn from.
_ITEMS, _DIMENSION, _GENRES, _PEOPLE, _LIKES = 2000, 384, 20, 200, 20
# Candidates, places, and the bar of p50; p99 may be three times it.
_SIZES = ((200, 10, 0.3), (500, 50, 1.5))
_PLAIN: dict[str, Any] = {"plain": {}, "with a budget": {"longTail": {"relevanceBudget": 0.02}}}
_EXTRAS: dict[str, Any] = {
    "with a least share of the tail": {
        "longTail": {"minTailFraction": 0.3, "relevanceBudget": 0.05}
    },
    "with a cap": {"diversity": {"caps": [{"field": "genre", "limit": 3}]}},
    "with exploration": {"exploration": {"slots": 2}},
    "with diversity": {"diversity": {"strength": 0.3}},
}


def _write(address: str, _: Path) -> None:
    draw = np.random.default_rng(SEED)
    vectors = draw.normal(size=(_ITEMS, _DIMENSION)).astype("<f4")
    # Pools have items of every bucket then: with few ways to share the places there is less to do.
    popularity = 10 * draw.lognormal(0.0, 1.0, _ITEMS)
    genres = draw.integers(_GENRES, size=_ITEMS)

    def item(at: int) -> Item:
        made = Item(id=f"item {at}", title=f"item {at}", vector=vectors[at].tobytes())
        made.popularity_prior = popularity[at]
        made.attributes.update({"genre": f"genre {genres[at]}"})
        return made

    write_items(address, map(item, range(_ITEMS)))
    share = popularity / popularity.sum()
    likes = [draw.choice(_ITEMS, _LIKES, replace=False, p=share) for _ in range(_PEOPLE)]
    pairs = ((f"person {at}", f"item {row}") for at, rows in enumerate(likes) for row in rows)
    write_likes(address, pairs)


def _measure(kinds: dict[str, Any], bench: Context) -> Iterator[Measured]:
    home = home_of("ranking", bench.out, bench.worker.address, _write)
    for candidates, places, _ in _SIZES:
        taken: dict[str, list[list[float]]] = {kind: [] for kind in kinds}
        with bench.serving(home, LONGTAIL_CANDIDATES=str(candidates)) as running:
            for _ in bench.turns(f"{candidates} candidates"):
                for kind, asked in kinds.items():
                    requests = [
                        ParseDict(
                            asked, RecommendRequest(user_id=f"person {at}", page_size=places)
                        ).SerializeToString()
                        for at in range(_PEOPLE)
                    ]
                    load = (running.address, RECOMMEND, requests, 1, None, True)
                    outcome = checked(bench.generator.run(closed_loop, *load))
                    answers = [RecommendResponse.FromString(each) for _, each in outcome.answers]
                    taken[kind].append([a.timings.ranking.ToNanoseconds() / 1e6 for a in answers])
        for rounds in taken.values():
            for percent in (50, 99):
                spread = [percentile(each, percent) for each in rounds]
                every = [value for each in rounds for value in each]
                value = percentile(every, percent)
                yield Measured(value, len(every), min(spread), max(spread))


for _name, _title, _kinds in (("1", "usual requests", _PLAIN), ("2", "with extras", _EXTRAS)):
    SECTIONS.add(
        _name,
        _title,
        *(
            f"{candidates} candidates, {places} places, {kind}, p{percent} "
            + (f"<= {times * bar:g} ms" if _kinds is _PLAIN else "[ms]")
            for candidates, places, bar in _SIZES
            for kind in _kinds
            for percent, times in ((50, 1), (99, 3))
        ),
    )(partial(_measure, _kinds))
