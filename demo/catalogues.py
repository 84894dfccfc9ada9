"""The catalogues that the demo can serve, and what is said of each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from longtail.export.wheel_asset import Asset
from longtail.v1.interaction_service_pb2 import Interaction
from longtail.v1.item_pb2 import Item

from demo import assets, dishes, movielens


@dataclass(frozen=True)
class Catalogue:
    """Items, and interactions where there are any, as a reader of each makes them of its folder."""

    asset: Asset
    items: str
    interactions: str
    query: str
    read_items: Callable[[Path], Sequence[Item]]
    read_interactions: Callable[[Path], Sequence[Interaction]]


FILMS = Catalogue(
    asset=assets.FILMS,
    items="films",
    interactions="ratings",
    query="space adventure with robots",
    read_items=lambda folder: movielens.read_items(folder / movielens.ITEMS),
    read_interactions=lambda folder: movielens.read_ratings(folder / movielens.RATINGS),
)
DISHES = Catalogue(
    asset=assets.DISHES,
    items="dishes",
    interactions="interactions",
    query="冬天暖身的汤",
    read_items=lambda folder: dishes.read_items(folder / dishes.FILE),
    read_interactions=lambda folder: (),
)
CATALOGUES = {"films": FILMS, "dishes": DISHES}
