"""The HNSW index over unit vectors, and the file it can be kept in.

hnswlib's quiet dangers are met here: a label is never used twice (each version of an item has its
own, its revision in the store), so nothing is updated in place; it grows before it is full; more
neighbours than there are live vectors are never asked for; the width of the search is set
again after loading; and a file is only trusted when a manifest with its checksum, written after
it, fits. Adding and removing need the index alone, searching can be shared: the caller locks.
"""

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import hnswlib
import numpy as np
from numpy.typing import NDArray

from server.vector_table import VectorTable

logger = logging.getLogger(__name__)

Labels = NDArray[np.uint64]
Matrix = NDArray[np.float32]
Vector = NDArray[np.float32]

SPACE = "ip"
FORMAT = 1
FIRST_CAPACITY = 1024
GROWTH = 1.5
# Vectors read from a loaded graph at a time.
LOAD_CHUNK = 10_000
INDEX_FILE, MANIFEST_FILE = "index.hnsw", "index.json"


@dataclass(frozen=True)
class IndexParameters:
    """What decides how an index is built; see hnswlib's ALGO_PARAMS.

    `links` (M) and `ef_construction` buy recall with memory and build time, `ef_search` with the
    time of each search.
    """

    dimension: int
    links: int
    ef_construction: int
    ef_search: int


class HnswIndex:
    """Nearest neighbours by inner product of unit vectors, under labels that are used once."""

    def __init__(self, parameters: IndexParameters) -> None:
        self.parameters = parameters
        self._vectors = VectorTable(parameters.dimension)
        self._graph = hnswlib.Index(space=SPACE, dim=parameters.dimension)
        self._graph.init_index(
            max_elements=FIRST_CAPACITY,
            M=parameters.links,
            ef_construction=parameters.ef_construction,
        )
        self._graph.set_ef(parameters.ef_search)

    @property
    def live_count(self) -> int:
        """Vectors that can be found."""
        return len(self._vectors)

    @property
    def tombstone_count(self) -> int:
        """Vectors that were removed and still take memory."""
        return int(self._graph.get_current_count()) - self.live_count

    def labels_among(self, labels: Iterable[int]) -> set[int]:
        """Return those of `labels` that can be found."""
        return self._vectors.labels_among(labels)

    def add(self, labels: Sequence[int], vectors: Matrix) -> None:
        """Add unit `vectors` (n, d) under `labels` (n,) that were never used before."""
        needed = self._graph.get_current_count() + len(labels)
        if needed > self._graph.get_max_elements():
            self._graph.resize_index(max(needed, int(GROWTH * self._graph.get_max_elements())))
        self._graph.add_items(vectors, np.asarray(labels, np.uint64))
        self._vectors.add(labels, vectors)

    def remove(self, label: int) -> None:
        """Make a vector unfindable."""
        self._graph.mark_deleted(label)
        self._vectors.remove(label)

    def search(self, vector: Vector, k: int) -> tuple[list[int], NDArray[np.float64]]:
        """Return the labels of the `k` nearest, and their cosines, from the nearest on.

        Fewer when fewer are live.
        """
        k = min(k, self.live_count)
        if k == 0:
            return [], np.empty(0)
        try:
            labels, distances = self._graph.knn_query(vector, k, num_threads=1)
        except RuntimeError:
            # The graph did not lead to k vectors; all of them, one by one, always do.
            logger.warning("graph gave too few neighbours, scanning k=%d", k)
            return self._scan(vector, k)
        return labels[0].tolist(), 1 - distances[0].astype(np.float64)

    def vectors(self, labels: Sequence[int]) -> Matrix:
        """Return the unit vectors (n, d) of live `labels` (n,)."""
        return self._vectors.get(labels)

    def save(self, folder: Path, built_for: str, revision: int) -> None:
        """Keep the index, as of `revision`, in `folder`, for `load` with the same `built_for`.

        Each file is complete under another name before it takes its own, the manifest last.
        """
        folder.mkdir(parents=True, exist_ok=True)
        file, manifest = folder / INDEX_FILE, folder / MANIFEST_FILE
        # Between the two renames the old manifest would vouch for the new file.
        manifest.unlink(missing_ok=True)
        fresh = file.with_suffix(".tmp")
        self._graph.save_index(str(fresh))
        expected = self._expected(built_for)
        size, digest = fresh.stat().st_size, _sha256(fresh)
        text = json.dumps({**expected, "revision": revision, "bytes": size, "sha256": digest})
        _sync(fresh)
        os.replace(fresh, file)
        fresh_manifest = manifest.with_suffix(".tmp")
        fresh_manifest.write_text(text)
        _sync(fresh_manifest)
        os.replace(fresh_manifest, manifest)
        _sync(folder)

    @classmethod
    def load(
        cls,
        folder: Path,
        parameters: IndexParameters,
        built_for: str,
        *,
        revision: int,
        current: Collection[int],
    ) -> "HnswIndex | None":
        """Return the index kept in `folder`, with all but the `current` labels removed.

        None, with the reason logged, when the file is of no use: missing, damaged, built for
        something else, or ahead of `revision`, as it is after the store was put back to an older
        state.
        """
        index = cls(parameters)
        file, manifest = folder / INDEX_FILE, folder / MANIFEST_FILE
        try:
            found = json.loads(manifest.read_text())
            digest, size = found.pop("sha256"), found.pop("bytes")
            held = int(found.pop("revision"))
        except FileNotFoundError:
            logger.info("no index file, building the index folder=%s", folder)
            return None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            logger.warning("index manifest unreadable, building the index error=%r", error)
            return None
        expected = index._expected(built_for)
        if found != expected or held > revision:
            logger.warning("index of another kind found=%s held=%s need=%s", found, held, expected)
            return None
        if not file.exists() or file.stat().st_size != size or _sha256(file) != digest:
            logger.warning("index file is missing or damaged, building the index file=%s", file)
            return None
        index._graph = hnswlib.Index(space=SPACE, dim=parameters.dimension)
        index._graph.load_index(str(file))
        index._graph.set_ef(parameters.ef_search)
        stored = set(index._graph.get_ids_list())
        for label in stored.difference(current):
            # The list holds what was removed before the file was written, too.
            with contextlib.suppress(RuntimeError):
                index._graph.mark_deleted(label)
        live = sorted(stored.intersection(current))
        for start in range(0, len(live), LOAD_CHUNK):
            chunk = live[start : start + LOAD_CHUNK]
            vectors = index._graph.get_items(chunk, return_type="numpy")
            index._vectors.add(chunk, np.asarray(vectors, np.float32))
        return index

    def _expected(self, built_for: str) -> dict[str, object]:
        return {
            "format": FORMAT,
            "space": SPACE,
            "built_for": built_for,
            "dimension": self.parameters.dimension,
            "links": self.parameters.links,
            "ef_construction": self.parameters.ef_construction,
        }

    def _scan(self, vector: Vector, k: int) -> tuple[list[int], NDArray[np.float64]]:
        labels = self._vectors.labels()
        similarity = (self.vectors(labels) @ vector).astype(np.float64)
        best = np.argsort(-similarity, kind="stable")[:k]
        return [labels[position] for position in best], similarity[best]


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
