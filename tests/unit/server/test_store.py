import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from numpy.typing import NDArray
from sqlalchemy import Engine

from runtime.errors import StorageFull
from server.store import items as items_module
from server.store.changes import CHUNK
from server.store.database import open_database
from server.store.record_store import RecordStore
from server.store.records import (
    Counts,
    EncoderBinding,
    Interaction,
    ItemContent,
    NewItem,
    PastInteraction,
)
from server.store.schema import metadata

Vector = NDArray[np.float32]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "longtail.db"


@pytest.fixture
def store(path: Path) -> Iterator[RecordStore]:
    opened = RecordStore.open(path)
    yield opened
    opened.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list whose last element is the store's time."""
    times = [1]
    monkeypatch.setattr(items_module, "_now", lambda: times[-1])
    return times


def new_item(item_id: str, title: str = "A title", prior: float = 0.0) -> NewItem:
    vector: Vector = np.array([0.6, 0.8], np.float32)
    content = ItemContent(item_id, title, "A text", {"year": 1999, "tags": ["a"]}, prior)
    return NewItem(content, vector, vector_given=False)


def event(event_id: str, item_id: str = "film", user_id: str = "ann", time: int = 0) -> Interaction:
    return Interaction(event_id, user_id, item_id, "view", 1.0, time, "")


def popularity(store: RecordStore) -> dict[str, int]:
    until = store.changes.revision()
    changes = store.changes.popularity_changes(after=0, until=until)
    return {change.item_id: change.interactions for change in changes}


def changed_ids(store: RecordStore, after: int = 0) -> list[str]:
    until = store.changes.revision()
    return [change.id for change in store.changes.item_changes(after=after, until=until)]


def test_an_item_comes_back_as_it_was_written(store: RecordStore, clock: list[int]) -> None:
    written = new_item("film", prior=2.5)
    store.items.upsert([written])
    (stored,) = store.items.get(["film", "none"]).values()
    assert stored.content == written.content
    assert stored.create_time == stored.update_time == 1


def test_replacing_keeps_the_time_of_creation(store: RecordStore, clock: list[int]) -> None:
    store.items.upsert([new_item("film")])
    clock.append(2)
    store.items.upsert([new_item("film", "Another title")])
    stored = store.items.get(["film"])["film"]
    assert (stored.content.title, stored.create_time, stored.update_time) == ("Another title", 1, 2)
    assert store.counts().items == 1


def test_an_item_that_comes_back_is_a_new_one(store: RecordStore, clock: list[int]) -> None:
    store.items.upsert([new_item("film")])
    store.items.remove("film")
    assert store.items.get(["film"]) == {}
    assert store.items.encoded_texts(["film"]) == {}
    assert store.counts().items == 0

    clock.append(2)
    store.items.upsert([new_item("film")])
    assert store.items.get(["film"])["film"].create_time == 2


def test_removing_what_is_not_there_changes_nothing(store: RecordStore) -> None:
    store.items.upsert([new_item("film")])
    store.items.remove("film")
    revision = store.changes.revision()
    assert store.items.remove("film") is None
    assert store.items.remove("never") is None
    assert store.changes.revision() == revision


def test_each_version_has_a_revision_of_its_own_and_they_grow(store: RecordStore) -> None:
    seen: set[int] = set()
    last = 0
    for _ in range(3):
        revision = store.items.upsert([new_item("a"), new_item("b")])
        fresh = set(store.changes.versions())
        assert seen.isdisjoint(fresh)
        assert min(fresh) > last
        assert max(fresh) == revision == store.changes.revision()
        seen |= fresh
        last = revision
    assert store.interactions.write([event("e")])[1] > last


def test_encoded_texts_leave_out_vectors_that_were_given(store: RecordStore) -> None:
    store.items.upsert([new_item("ours"), replace(new_item("theirs"), vector_given=True)])
    (encoded,) = store.items.encoded_texts(["ours", "theirs"]).values()
    assert (encoded.title, encoded.text) == ("A title", "A text")
    assert encoded.vector.tolist() == new_item("ours").vector.tolist()


def test_pages_follow_each_other_in_the_order_of_ids(store: RecordStore) -> None:
    store.items.upsert([new_item(name) for name in ("d", "b", "é", "a", "c")])
    store.items.remove("b")
    pages = []
    after = ""
    while page := store.items.list_page(after=after, limit=2):
        pages.append([item.content.id for item in page])
        after = pages[-1][-1]
    assert pages == [["a", "c"], ["d", "é"]]


def test_changes_show_the_current_version_of_what_changed(store: RecordStore) -> None:
    store.items.upsert([new_item(name) for name in ("a", "b", "c")])
    before = store.changes.revision()
    store.items.upsert([new_item("b", prior=4)])
    store.items.remove("a")

    until = store.changes.revision()
    replaced, removed = store.changes.item_changes(after=before, until=until)
    assert (replaced.id, replaced.prior) == ("b", 4)
    assert replaced.vector is not None
    assert replaced.vector.tolist() == new_item("b").vector.tolist()
    assert (removed.id, removed.vector) == ("a", None)
    assert changed_ids(store) == ["c", "b", "a"]
    assert next(iter(store.changes.item_changes(after=0, until=before))).id == "c"
    assert set(store.changes.versions().values()) == {"b", "c"}


def test_changes_are_read_across_chunks(store: RecordStore) -> None:
    names = [f"item-{number}" for number in range(2 * CHUNK + 1)]
    store.items.upsert([new_item(name) for name in names])
    assert changed_ids(store) == names
    assert changed_ids(store, after=CHUNK + 1) == names[CHUNK + 1 :]


def test_an_event_counts_once(store: RecordStore) -> None:
    written, first = store.interactions.write([event("e"), event("e", item_id="other")])
    assert written == 1
    again, revision = store.interactions.write([event("e", item_id="other"), event("f")])
    assert again == 1
    assert revision > first
    assert store.interactions.write([event("e")]) == (0, revision)
    assert popularity(store) == {"film": 2}
    assert [past.item_id for past in store.interactions.history("ann")] == ["film", "film"]


def test_history_runs_from_the_latest_on(store: RecordStore) -> None:
    events = [event("1", "old", time=1), event("2", "new", time=3), event("3", "mid", time=2)]
    store.interactions.write([*events, event("4", "foreign", user_id="bob")])
    assert store.interactions.history("ann") == [
        PastInteraction(name, "view", 1.0) for name in ("new", "mid", "old")
    ]


def test_forgetting_a_person_takes_their_popularity_back(store: RecordStore) -> None:
    store.interactions.write(
        [event("1"), event("2"), event("3", "solo"), event("4", user_id="bob")]
    )
    before = store.changes.revision()
    deleted, revision = store.interactions.delete_user("ann")
    assert deleted == 3
    assert revision > before
    assert popularity(store) == {"film": 1, "solo": 0}
    assert store.interactions.history("ann") == []
    assert store.counts() == Counts(items=0, interactions=1, users=1)
    assert store.interactions.delete_user("ann") == (0, revision)


def test_popularity_changes_are_those_after_a_revision(store: RecordStore) -> None:
    _, first = store.interactions.write([event("1", "a"), event("2", "b")])
    _, second = store.interactions.write([event("3", "b")])
    (change,) = store.changes.popularity_changes(after=first, until=second)
    assert (change.item_id, change.interactions, change.revision) == ("b", 2, second)


def test_everything_survives_reopening(path: Path) -> None:
    store = RecordStore.open(path)
    assert store.encoder() is None
    store.bind_encoder(EncoderBinding("tiny@1", 2))
    store.items.upsert([new_item("a"), new_item("b")])
    store.items.remove("b")
    store.interactions.write([event("e", "a")])
    before = (store.changes.identity(), store.changes.versions(), store.changes.revision())
    item = store.items.get(["a"])
    store.close()

    store = RecordStore.open(path)
    assert store.encoder() == EncoderBinding("tiny@1", 2)
    assert before == (
        store.changes.identity(),
        store.changes.versions(),
        store.changes.revision(),
    )
    assert store.items.get(["a"]) == item
    assert popularity(store) == {"a": 1}
    assert store.counts() == Counts(items=1, interactions=1, users=1)
    store.close()


def test_each_store_has_an_identity_of_its_own(store: RecordStore, tmp_path: Path) -> None:
    other = RecordStore.open(tmp_path / "other.db")
    assert other.changes.identity() != store.changes.identity()
    other.close()


@contextmanager
def full_database(engine: Engine) -> Iterator[None]:
    """Let the database grow no further, as on a disk without free space."""

    def limit(pages: int) -> None:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    limit(1)  # SQLite takes a limit below its size as its size.
    yield
    limit(2**30)


@contextmanager
def full_quota(engine: Engine) -> Iterator[None]:
    """Refuse to write beyond what is there already, as a quota does."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    largest = max(file.stat().st_size for file in Path(str(engine.url.database)).parent.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("full", [full_database, full_quota])
def test_a_full_disk_keeps_nothing_of_the_write(
    path: Path, full: Callable[[Engine], AbstractContextManager[None]]
) -> None:
    engine = open_database(path)
    store = RecordStore(engine)
    store.items.upsert([new_item("before")])
    store.interactions.write([event("before")])
    revision = store.changes.revision()

    many = [new_item(f"item-{number}", "x" * 1000) for number in range(1000)]
    with full(engine):
        with pytest.raises(StorageFull):
            store.items.upsert([new_item("before", "replaced"), *many])
        with pytest.raises(StorageFull):
            store.interactions.write([event(f"{number:0>200}") for number in range(5000)])
        # What is there can still be read.
        assert store.items.get(["before"])["before"].content.title == "A title"

    assert store.changes.revision() == revision
    assert set(store.changes.versions().values()) == {"before"}
    assert popularity(store) == {"film": 1}
    assert store.items.upsert(many) == revision + len(many)
    store.close()


def test_the_migrations_make_the_schema(path: Path) -> None:
    engine = open_database(path)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()
