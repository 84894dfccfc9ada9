"""The state of a server that holds a catalogue, made once and kept: the store and its index."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import hnswlib
import numpy as np
from longtail.server.catalogue.index.graph import SPACE
from longtail.server.catalogue.index.hnsw import GRAPH_FILE
from longtail.server.catalogue.indexer import Indexer
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.process.part import Part
from longtail.server.settings import Settings
from longtail.server.store.group_commit import GroupCommit
from longtail.server.store.record_store import DATABASE, RecordStore
from longtail.server.store.records import EncoderBinding, ItemContent, NewItem
from longtail.server.store.transaction import Transaction
from numpy.typing import NDArray

from bench.texts import digest

Matrix = NDArray[np.float32]
Labels = NDArray[np.uint64]

# Written last: a home without it is half made.
COMPLETE = "complete"
_BATCH = 256


@dataclass(frozen=True)
class Opened:
    """What a serving process holds, without its services. Leave it with the block that gave it."""

    settings: Settings
    store: RecordStore
    view: CatalogueReplica
    commit: GroupCommit

    def indexer(self) -> Indexer:
        """Return what merges and rebuilds, as the server has it."""
        folder = self.settings.index_folder
        merge_rows = self.settings.index_merge_rows
        return Indexer(self.view, self.store, folder, merge_rows, Part("indexer"))

    def submit(self, items: Sequence[NewItem]) -> Future[int]:
        """Have items written in one transaction; the future ends when they can be searched."""
        return self.commit.submit(partial(self._upsert, items))

    def upsert(self, items: Sequence[NewItem]) -> None:
        """Write items as an import does, some hundreds in one transaction; return at the end."""
        for start in range(0, len(items), _BATCH):
            self.submit(items[start : start + _BATCH]).result()

    def _upsert(self, items: Sequence[NewItem], tx: Transaction) -> int:
        _, revision = self.store.items.upsert(tx, items, self.view.state.encoder.id)
        return revision


@contextmanager
def opened(home: Path) -> Iterator[Opened]:
    """Open the state under `home` with default settings."""
    settings = Settings(home=str(home))
    store = RecordStore.open(settings.data / DATABASE)
    try:
        bound = store.encoders.current()
        if bound is None:
            raise LookupError(f"the store in {home} has no encoder")
        view = CatalogueReplica(store, bound, settings, settings.index_folder)
        with store.group_commit(view.follow, settings.max_waiting_writes) as commit:
            yield Opened(settings, store, view, commit)
    finally:
        store.close()


def prepare(
    binding: EncoderBinding,
    contents: Sequence[ItemContent],
    vectors: Matrix,
    out: Path,
    say: Callable[[str], None],
    named: str = "",
) -> Path:
    """Return a home in `out` with these items in their order, and the index of them.

    Where there is a name, the vectors are also those of the items in a space that is `named` so.
    It is made when it is not there. Not to be written to: see `copied`.
    """
    settings = Settings()
    texts = [f"{content.id} {content.attributes} {content.text}" for content in contents]
    index = f"{settings.index_links}-{settings.index_ef_construction}"
    told = "-".join(filter(None, (str(len(contents)), named, index)))
    home = out / f"home-{told}-{digest([binding.model_id, *texts])}"
    if (home / COMPLETE).exists():
        return home
    shutil.rmtree(home, ignore_errors=True)
    say(f"writing {len(contents):,} items into {home}, and building their index")
    data = Settings(home=str(home)).data
    data.mkdir(parents=True)
    store = RecordStore.open(data / DATABASE)
    with store.group_commit(lambda: None, max_waiting=1) as commit:
        commit.submit(lambda tx: store.encoders.bind(tx, binding)).result()
        if named:
            commit.submit(lambda tx: store.spaces.declare(tx, named, vectors.shape[1])).result()
    store.close()
    with opened(home) as made:
        spaces = made.view.state.declared_spaces.values()
        pairs = zip(contents, np.asarray(vectors), strict=True)
        made.upsert(
            [
                NewItem(content, vector, False, dict.fromkeys(spaces, vector))
                for content, vector in pairs
            ]
        )
        made.indexer().rebuild(made.view.state.encoder, lambda _done, _total: None)
    (home / COMPLETE).touch()
    return home


@contextmanager
def copied(home: Path, name: str) -> Iterator[Path]:
    """Copy a home beside itself under `name`, and remove the copy with the block."""
    copy = home.with_name(name)
    shutil.rmtree(copy, ignore_errors=True)
    try:
        yield shutil.copytree(home, copy)
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def bare_search(home: Path, dimension: int) -> Callable[[Matrix, int], Labels]:
    """Load the newest graph under `home` into hnswlib, with nothing around it and no lock beside.

    What is returned gives the labels (k,) of the `k` nearest of a query (d,), at the usual width.
    """
    file = max(home.rglob(GRAPH_FILE), key=lambda file: file.stat().st_mtime)
    index = hnswlib.Index(space=SPACE, dim=dimension)
    index.load_index(str(file))
    index.set_ef(Settings().index_ef_search)

    def search(query: Matrix, k: int) -> Labels:
        labels: Labels = index.knn_query(query, k, num_threads=1)[0][0]
        return labels

    return search
