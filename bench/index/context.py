"""What a run of the index bench gives to all of its sections."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from longtail.server.store.records import EncoderBinding
from longtail.v1 import embedding_service_pb2 as pb
from numpy.typing import NDArray

from bench.generator import Generator
from bench.index import catalogue as catalogues
from bench.index.attributes import Attributes, attributes_of
from bench.index.catalogue import Catalogue
from bench.index.embedding import binding_of, embedded
from bench.index.prepared import Opened, opened, prepare
from bench.texts import SEED

Matrix = NDArray[np.float32]

SMALL_ROWS = 10_000
# Of a copy of an item as a query: the length of the noise, where the item's is 1.
NOISE = 0.5


@dataclass(frozen=True)
class IndexBench:
    """What is measured, how often, and with what.

    `rounds` is how often the sides of a comparison take turns, `queries` how many there are of each
    kind, `seconds` how long each turn of a load is, `import_rows` how many rows are imported.
    `leaving` closes at the end what sections share.
    """

    artefact: Path
    data: Path
    out: Path
    rounds: int
    queries: int
    seconds: float
    import_rows: int
    generator: Generator
    leaving: ExitStack
    say: Callable[[str], None]

    @cached_property
    def binding(self) -> EncoderBinding:
        """The encoder; raises NotRun without the artefact."""
        return binding_of(self.artefact)

    @cached_property
    def catalogue(self) -> Catalogue:
        """All items; raises NotRun without the data."""
        return catalogues.read(self.data)

    @cached_property
    def vectors(self) -> Matrix:
        """The vectors (n, d) of all items."""
        texts = self.catalogue.to_encode
        return np.asarray(embedded("items", texts, pb.ROLE_ITEM, self.artefact, self.out, self.say))

    @cached_property
    def attributes(self) -> Attributes:
        """What all items are filtered by."""
        return attributes_of(self.catalogue, self.vectors)

    @cached_property
    def home(self) -> Path:
        """The state with all items; not to be written to."""
        contents = self.attributes.contents(self.catalogue)
        return prepare(self.binding, contents, self.vectors, self.out, self.say)

    @cached_property
    def small_home(self) -> Path:
        """The state with SMALL_ROWS of the items; not to be written to."""
        part, rows = self.catalogue.sample(SMALL_ROWS)
        contents = self.attributes.taken(rows).contents(part)
        return prepare(self.binding, contents, self.vectors[rows], self.out, self.say)

    @cached_property
    def whole(self) -> Opened:
        """The state with all items, opened."""
        return self.leaving.enter_context(opened(self.home))

    @cached_property
    def small(self) -> Opened:
        """The state with SMALL_ROWS of the items, opened."""
        return self.leaving.enter_context(opened(self.small_home))

    @cached_property
    def noisy(self) -> Matrix:
        """Queries (q, d): copies of random items, with noise."""
        return noisy_copies(self.vectors, self.queries, SEED)

    @cached_property
    def typed(self) -> Matrix:
        """Queries (q, d): a few words, embedded as queries are."""
        texts = catalogues.queries(self.catalogue, self.queries)
        found = embedded("queries", texts, pb.ROLE_QUERY, self.artefact, self.out, self.say)
        return np.array(found)

    def turns(self, title: str) -> range:
        """Iterate over the rounds, and say how far it is."""
        self.say(f"{title}: {self.rounds} rounds")
        return range(self.rounds)

    def of_round(self, number: int, count: int) -> Sequence[int]:
        """Return the numbers of the `count` queries of a round."""
        return [(number * count + position) % self.queries for position in range(count)]


def noisy_copies(vectors: Matrix, count: int, seed: int) -> Matrix:
    """Return unit vectors (count, d), each of them near to a random one of `vectors` (n, d)."""
    random = np.random.default_rng(seed)
    picked = vectors[random.integers(len(vectors), size=count)]
    noise = random.normal(size=picked.shape)
    noise *= NOISE / np.linalg.norm(noise, axis=1, keepdims=True)
    copies = picked + noise
    found: Matrix = (copies / np.linalg.norm(copies, axis=1, keepdims=True)).astype(np.float32)
    return found
