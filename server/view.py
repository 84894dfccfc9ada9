"""The catalogue in memory: a view that follows the store.

It holds the index, which item each label stands for, and how popular each item is. It is brought
up to date by replaying what the store changed since the revision that it holds, after every write
and at start, and nothing else changes it. So a crash loses nothing, and the index file is only a
cache.
"""

import itertools
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from server.index import HnswIndex, IndexParameters
from server.popularity_table import PopularityTable
from server.rwlock import ReadWriteLock
from server.store.record_store import RecordStore
from server.store.records import EncoderBinding, ItemChange

logger = logging.getLogger(__name__)

# Added to the index at once while searches wait: about ten milliseconds of work.
ADD_CHUNK = 32
PROGRESS_EVERY = 10_000
# The graph is built anew at start when more than this share of it is tombstones.
TOMBSTONE_SHARE = 0.25


class CatalogueView:
    """Index, ids and popularity of the catalogue, as of one revision.

    Read it under `reading()`; `follow` may be called from any thread.
    """

    def __init__(
        self, store: RecordStore, binding: EncoderBinding, parameters: IndexParameters, folder: Path
    ) -> None:
        self._store = store
        self._folder = folder
        # The same store with another encoder, or another store with the same one, is another index.
        self._built_for = f"{binding.model_id} {store.changes.identity()}"
        self._parameters = parameters
        self._lock = ReadWriteLock()
        self._following = threading.Lock()
        self.revision = 0
        self.index = HnswIndex(parameters)
        self.popularity = PopularityTable()
        self.label_of: dict[str, int] = {}
        self.id_of: dict[int, str] = {}

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Keep the view as it is while the block runs."""
        with self._lock.reading():
            yield

    def load(self) -> None:
        """Bring the view to the store's revision: from the index file if it fits, else anew."""
        until = self._store.changes.revision()
        versions = self._store.changes.versions()
        loaded = HnswIndex.load(
            self._folder, self._parameters, self._built_for, revision=until, current=versions
        )
        if loaded is not None and loaded.tombstone_count <= TOMBSTONE_SHARE * loaded.live_count:
            self.index = loaded
        held = self.index.live_count
        self.follow()
        logger.info("index ready from_file=%d added=%d", held, self.index.live_count - held)
        if self.index.live_count > held:
            self.save()

    def save(self) -> None:
        """Write the index file. Without it the next start takes longer, and that is all."""
        try:
            with self._lock.reading():
                self.index.save(self._folder, self._built_for, self.revision)
        except OSError as error:
            logger.warning("index file not written error=%r", error)
        else:
            logger.info("index file written vectors=%d", self.index.live_count)

    def follow(self) -> None:
        """Replay the changes of the store since the revision that the view holds."""
        with self._following:
            until = self._store.changes.revision()
            if until == self.revision:
                return
            changes = self._store.changes.item_changes(after=self.revision, until=until)
            done = 0
            while chunk := list(itertools.islice(changes, ADD_CHUNK)):
                with self._lock.writing():
                    self._apply(chunk)
                done += len(chunk)
                if done // PROGRESS_EVERY > (done - len(chunk)) // PROGRESS_EVERY:
                    logger.info("following items=%d revision=%d", done, chunk[-1].revision)
            counted = list(self._store.changes.popularity_changes(after=self.revision, until=until))
            with self._lock.writing():
                for change in counted:
                    self.popularity.count(change.item_id, change.interactions)
                self.revision = until

    def _apply(self, changes: list[ItemChange]) -> None:
        # A loaded index, or a follow that broke off, may be ahead of the view's revision.
        held = self.index.labels_among(change.revision for change in changes)
        vectors = {
            change.revision: change.vector
            for change in changes
            if change.vector is not None and change.revision not in held
        }
        if vectors:
            self.index.add(list(vectors), np.stack(list(vectors.values())))
        for change in changes:
            if self.label_of.get(change.id) == change.revision:
                continue
            self._forget(change.id)
            if change.vector is not None:
                self.label_of[change.id] = change.revision
                self.id_of[change.revision] = change.id
                self.popularity.add(change.id, change.prior)

    def _forget(self, item_id: str) -> None:
        label = self.label_of.pop(item_id, None)
        if label is not None:
            del self.id_of[label]
            self.popularity.remove(item_id)
            self.index.remove(label)
