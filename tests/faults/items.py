"""Items for the tests of faults: real texts, attributes to filter by, vectors known to the test."""

import csv
import gzip
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from google.protobuf.json_format import MessageToDict
from longtail.client import filter_of, named_vectors, where
from longtail.v1.filter_pb2 import Filter
from longtail.v1.item_pb2 import STATE_ACTIVE, Item
from numpy.typing import NDArray

from tests.films import FILMS

Vector = NDArray[np.float32]
T = TypeVar("T")

DATA = Path(os.environ.get("LONGTAIL_DATA", Path(__file__).parents[3] / "shared" / "data"))
PACKAGES = DATA / "packages" / "items.csv.gz"
TEXTS = 5_000
GROUPS, YEARS, FIRST_YEAR = 20, 30, 1990
CENTRES, SPREAD = 40, 1.0
IMAGE, IMAGE_DIMENSION = "image", 16


@dataclass(frozen=True)
class Filtered:
    """A filter, and whether an item of such attributes passes it."""

    filter: Filter
    test: Callable[[dict[str, Any]], bool]

    def passes(self, item: Item) -> bool:
        """Return whether an item passes the filter."""
        return self.test(MessageToDict(item.attributes))


FILTERS = (
    Filtered(filter_of(all_of=[where("even").equals(True)]), lambda has: has["even"]),
    Filtered(
        filter_of(all_of=[where("group").one_of("g3", "g4")]),
        lambda has: has["group"] in ("g3", "g4"),
    ),
    Filtered(
        filter_of(
            all_of=[where("year").between(at_least=2000, less_than=2006)],
            none_of=[where("tags").equals("c")],
        ),
        lambda has: 2000 <= has["year"] < 2006 and "c" not in has["tags"],
    ),
)


@dataclass(frozen=True)
class Material:
    """What items are made of: `texts` (title, text), and vectors of `dimension` numbers."""

    dimension: int
    texts: Sequence[tuple[str, str]]

    @classmethod
    def of(cls, artefact: Path) -> "Material":
        """Return what fits the encoder in `artefact`."""
        manifest = json.loads((artefact / "manifest.json").read_text(encoding="utf-8"))
        return cls(manifest["dimension"], _texts())

    def vector(self, number: int, version: int = 0) -> Vector:
        """Return the unit vector of a version of an item; neighbours share a centre."""
        centre = _centre(self.dimension, number % CENTRES)
        moved = np.random.default_rng([2, number, version]).normal(size=self.dimension)
        vector = centre + SPREAD * moved
        unit: Vector = (vector / np.linalg.norm(vector)).astype("<f4")
        return unit

    def item(
        self,
        item_id: str,
        number: int,
        version: int = 0,
        *,
        own_vector: bool = True,
        pictured: bool = False,
    ) -> Item:
        """Return a version of an item, with a vector of its own or with that of its text.

        `pictured`: whether it has one in the vector space IMAGE too.
        """
        title, text = self.texts[(number + 977 * version) % len(self.texts)]
        item = Item(
            id=item_id,
            title=title,
            text=text,
            popularity_prior=number % 7 * (version + 1),
            state=STATE_ACTIVE,
        )
        item.attributes.update(
            {
                "group": f"g{number % GROUPS}",
                "year": FIRST_YEAR + (number * 7 + version) % YEARS,
                "tags": ["abcd"[number % 4], "abcd"[(number + version) % 4]],
                "even": number % 2 == 0,
            }
        )
        if own_vector:
            item.vector = self.vector(number, version).tobytes()
        if pictured:
            image = np.random.default_rng([3, number, version]).normal(size=IMAGE_DIMENSION)
            item.extra_vectors.extend(named_vectors({IMAGE: image / np.linalg.norm(image)}))
        return item

    def catalogue(self, count: int, *, own_vectors: bool = True) -> list[Item]:
        """Return so many items."""
        return [
            self.item(f"item-{number:05d}", number, own_vector=own_vectors)
            for number in range(count)
        ]


def batches(items: Sequence[T], size: int = 500) -> list[Sequence[T]]:
    """Return the items in batches that fit into a call."""
    return [items[start : start + size] for start in range(0, len(items), size)]


@cache
def _centre(dimension: int, number: int) -> NDArray[np.float64]:
    return np.random.default_rng([1, number]).normal(size=dimension)


def _texts() -> list[tuple[str, str]]:
    if not PACKAGES.exists():
        plots = [(title, f"{title} {text}") for title, text in FILMS.values()]
        return [(title, text) for title, _ in plots for _, text in plots]
    return [(name, text[:200]) for name, text in read_packages(TEXTS)]


def read_packages(count: int) -> list[tuple[str, str]]:
    """Return the names and texts of real packages, as many as asked for; raise OSError."""
    with gzip.open(PACKAGES, "rt", encoding="utf-8", newline="") as lines:
        rows = (row for row in csv.DictReader(lines) if row["text"].strip())
        return [(row["item_id"], row["text"]) for row in islice(rows, count)]
