"""A real store in a folder, what is written to it, and views that follow it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
from longtail.runtime.settings import load
from longtail.server.catalogue.behaviour import BehaviourView
from longtail.server.catalogue.indexer import Indexer
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.process.part import Part
from longtail.server.settings import Settings
from longtail.server.store.group_commit import GroupCommit
from longtail.server.store.record_store import RecordStore
from longtail.server.store.records import (
    BoundEncoder,
    EncoderBinding,
    Interaction,
    ItemContent,
    NewItem,
    State,
    VectorSpace,
)
from longtail.server.store.transaction import Transaction
from numpy.typing import NDArray

from tests.unit.server.new_stores import open_store

T = TypeVar("T")

DIMENSION = 16
BINDING = EncoderBinding("tiny@1", DIMENSION)
SETTINGS = load(Settings, {"LONGTAIL_INDEX_LINKS": "8", "LONGTAIL_INDEX_EF_CONSTRUCTION": "100"})
NOW = 1_800_000_000_000_000


def unit(seed: int, dimension: int = DIMENSION) -> NDArray[np.float32]:
    vector = np.random.default_rng(seed).normal(size=dimension)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def item(
    item_id: str,
    seed: int,
    prior: float = 0.0,
    state: State = State.ACTIVE,
    window: tuple[int | None, int | None] = (None, None),
    **attributes: object,
) -> NewItem:
    content = ItemContent(item_id, f"{item_id} of {seed}", "", attributes, prior, state, *window)
    return NewItem(content, unit(seed), vector_given=False)


def pictured(item_id: str, space: VectorSpace, seed: int, text: int | None = None) -> NewItem:
    """Return an item with a vector in a space, and of a text only where `text` is its seed."""
    content = ItemContent(item_id, "" if text is None else item_id, "", {}, 0.0)
    own = None if text is None else unit(text)
    return NewItem(content, own, False, {space: unit(seed, space.dimension)})


def interaction(event_id: str, item_id: str, user_id: str = "ann") -> Interaction:
    return Interaction(event_id, user_id, item_id, "view", 1.0, 0, "")


class Written:
    """A store with its writer, as one process of a server has them."""

    def __init__(self, store: RecordStore, encoder: BoundEncoder, commit: GroupCommit) -> None:
        self.store = store
        self.encoder = encoder
        self._commit = commit

    def write(self, work: Callable[[Transaction], T]) -> T:
        return self._commit.submit(work).result(120)

    def upsert(self, *items: NewItem) -> int:
        return self.write(lambda tx: self.store.items.upsert(tx, items, self.encoder.id))[1]

    def declare(self, name: str, dimension: int) -> VectorSpace:
        return self.write(lambda tx: self.store.spaces.declare(tx, name, dimension))[0]

    def delete_space(self, name: str) -> None:
        self.write(lambda tx: self.store.spaces.delete(tx, name))

    def remove(self, *ids: str) -> None:
        self.write(lambda tx: self.store.items.remove(tx, ids))

    def interact(self, *events: Interaction) -> None:
        self.write(lambda tx: self.store.interactions.write(tx, events))


@contextmanager
def opened(folder: Path, committed: Callable[[], None] = lambda: None) -> Iterator[Written]:
    """Open the store in `folder`, bound to the tiny encoder."""
    store = open_store(folder / "longtail.db")
    try:
        with store.group_commit(committed, 100) as commit:
            bound = commit.submit(lambda tx: store.encoders.bind(tx, BINDING)).result(120)
            yield Written(store, bound, commit)
    finally:
        store.close()


def view_of(written: Written, folder: Path) -> CatalogueReplica:
    return CatalogueReplica(written.store, written.encoder, SETTINGS, folder / "index")


def behaviour_of(store: RecordStore) -> BehaviourView:
    """Return a view that has read all that people did when it is entered, however long it takes."""
    return BehaviourView(store, patience_seconds=120.0)


def indexer_of(
    written: Written,
    view: CatalogueReplica,
    folder: Path,
    merge_rows: int = 50,
    part: Part | None = None,
) -> Indexer:
    return Indexer(view, written.store, folder / "index", merge_rows, part or Part("indexer"))


def nearest(view: CatalogueReplica, seed: int, k: int = 10) -> list[str]:
    state = view.state
    rows, _ = state.index.search(unit(seed), k, state.scope(NOW, None))
    return [state.columns.ids[row] for row in rows]


def contents(view: CatalogueReplica) -> dict[str, tuple[int, float, float, str]]:
    """Return what a view holds: revision, mass, cosine with some vector, title, by item."""
    state = view.state
    rows = np.flatnonzero(state.columns.visible(state.revision, state.columns.count))
    cosines = state.index.vectors(rows) @ unit(99)
    return {
        state.columns.ids[row]: (
            int(state.columns.born[row]),
            float(state.columns.mass(np.array([row]))[0]),
            float(cosine),
            state.columns.titles[row],
        )
        for row, cosine in zip(rows.tolist(), cosines, strict=True)
    }
