"""The state of a server that holds the catalogue, made once and kept: the store and its index."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from longtail.server.app import INDEX_FOLDER
from longtail.server.catalogue.index.build import BLOCK_ROWS
from longtail.server.catalogue.index.generation import Generation, latest_generation
from longtail.server.catalogue.indexer import Indexer
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.settings import Settings
from longtail.server.store.group_commit import GroupCommit
from longtail.server.store.record_store import DATABASE, RecordStore
from longtail.server.store.records import EncoderBinding, ItemContent, NewItem
from longtail.server.store.transaction import Transaction
from numpy.typing import NDArray

from bench.index.catalogue import digest

Matrix = NDArray[np.float32]

# Written last: a home without it is half made.
_COMPLETE = "complete"
_BATCH = 256
# Of those that are written, and of the blocks that are built.
_SAID_ROWS = 80 * BLOCK_ROWS


@dataclass(frozen=True)
class Opened:
    """What a serving process holds, without its services. Leave it with the block that gave it."""

    settings: Settings
    store: RecordStore
    view: CatalogueReplica
    commit: GroupCommit

    @property
    def index_folder(self) -> Path:
        """Where the generations are."""
        return self.settings.data / INDEX_FOLDER

    @property
    def generation(self) -> Generation:
        """The newest generation of the index."""
        state = self.view.state
        target = self.view.target(state.encoder)
        found = latest_generation(
            target.folder, target.parameters, target.built_for, revision=state.revision
        )
        if found is None:
            raise LookupError(f"there is no index in {target.folder}")
        return found

    def indexer(self) -> Indexer:
        """Return what merges and rebuilds, as the server has it."""
        return Indexer(self.view, self.store, self.index_folder, self.settings.index_merge_rows)

    def submit(self, items: Sequence[NewItem]) -> Future[int]:
        """Have items written in one transaction; the future ends when they can be searched."""
        return self.commit.submit(partial(self._upsert, items))

    def upsert(self, items: Sequence[NewItem]) -> None:
        """Write items as an import does, some hundreds in one transaction; return at the end."""
        for start in range(0, len(items), _BATCH):
            self.submit(items[start : start + _BATCH]).result()

    def _upsert(self, items: Sequence[NewItem], tx: Transaction) -> int:
        return self.store.items.upsert(tx, items, self.view.state.encoder.id)


@contextmanager
def opened(home: Path) -> Iterator[Opened]:
    """Open the state under `home` with default settings."""
    settings = Settings(home=str(home))
    store = RecordStore.open(settings.data / DATABASE)
    try:
        bound = store.encoders.current()
        if bound is None:
            raise LookupError(f"the store in {home} has no encoder")
        view = CatalogueReplica(store, bound, settings, settings.data / INDEX_FOLDER)
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
) -> Path:
    """Return a home in `out` with these items in their order, and the index of them.

    It is made when it is not there. Not to be written to: see `copied`.
    """
    settings = Settings()
    texts = [f"{content.id} {content.attributes} {content.text}" for content in contents]
    index = f"{settings.index_links}-{settings.index_ef_construction}"
    model = digest([binding.model_id, *texts])
    home = out / f"home-{len(contents)}-{index}-{model}"
    if (home / _COMPLETE).exists():
        return home
    shutil.rmtree(home, ignore_errors=True)
    say(f"writing {len(contents):,} items into {home}")
    _bind(home, binding)
    with opened(home) as made:
        for start in range(0, len(contents), _SAID_ROWS):
            part = contents[start : start + _SAID_ROWS]
            rows = np.asarray(vectors[start : start + _SAID_ROWS])
            made.upsert(
                [NewItem(content, row, False) for content, row in zip(part, rows, strict=True)]
            )
            say(f"written {start + len(part):,} of {len(contents):,}")
        start_time = time.perf_counter()
        made.indexer().rebuild(made.view.state.encoder, _reporting(say))
        say(f"index built in {time.perf_counter() - start_time:.0f} s")
    (home / _COMPLETE).touch()
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


def _bind(home: Path, binding: EncoderBinding) -> None:
    data = Settings(home=str(home)).data
    data.mkdir(parents=True)
    store = RecordStore.open(data / DATABASE)
    try:
        with store.group_commit(lambda: None, max_waiting=1) as commit:
            commit.submit(lambda tx: store.encoders.bind(tx, binding)).result()
    finally:
        store.close()


def _reporting(say: Callable[[str], None]) -> Callable[[int, int], None]:
    def report(done: int, total: int) -> None:
        if done // _SAID_ROWS > (done - 1) // _SAID_ROWS:
            say(f"in the index {done:,} of {total:,}")

    return report
