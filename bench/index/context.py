"""What the sections of the index share."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from longtail.server.store.records import EncoderBinding
from longtail.v1 import embedding_service_pb2 as pb
from numpy.typing import NDArray

from bench import context
from bench.context import Matrix
from bench.index.catalogue import Attributes
from bench.index.exact import noisy_copies
from bench.state import Opened, opened, prepare
from bench.texts import SEED, queries

SMALL_ROWS = 10_000
QUERIES = 500
# The space of the caller's vectors.
NAMED = "named"


class Context(context.Context):
    """What the sections of the index share."""

    @cached_property
    def vectors(self) -> Matrix:
        """The vectors (n, d) of all items."""
        return self.vectors_of("items", self.catalogue.to_encode, pb.ROLE_ITEM)

    @cached_property
    def attributes(self) -> Attributes:
        """What all items are filtered by."""
        return Attributes(self.catalogue, self.vectors)

    @cached_property
    def home(self) -> Path:
        """The state with all items; not to be written to."""
        return self._home(np.arange(len(self.catalogue.ids)))

    @cached_property
    def small_home(self) -> Path:
        """The state with SMALL_ROWS of the items; not to be written to."""
        order = np.random.default_rng(SEED).permutation(len(self.catalogue.ids))
        return self._home(np.sort(order[:SMALL_ROWS]))

    @cached_property
    def named_home(self) -> Path:
        """The state with all items, and their vectors in a space of the caller's too."""
        return self._home(np.arange(len(self.catalogue.ids)), NAMED)

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
        return noisy_copies(self.vectors, QUERIES, SEED)

    @cached_property
    def typed(self) -> Matrix:
        """Queries (q, d): a few words, embedded as queries are."""
        return self.vectors_of("queries", queries(self.catalogue, QUERIES), pb.ROLE_QUERY)

    def of_round(self, number: int, count: int) -> Sequence[int]:
        """Return the numbers of the `count` queries of a round."""
        return [(number * count + position) % QUERIES for position in range(count)]

    def _home(self, rows: NDArray[np.int64], named: str = "") -> Path:
        manifest = self.bare.manifest
        binding = EncoderBinding(manifest.model_id, manifest.dimension)
        contents = self.attributes.contents(rows.tolist())
        return prepare(binding, contents, self.vectors[rows], self.out, self.say, named)
