import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from longtail.runtime.errors import StoreDamaged
from longtail.server.store.changes import CHUNK
from longtail.server.store.record_store import RecordStore

from tests.unit.server.store_records import VECTOR, Opened, event, new_item, opened


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Opened]:
    with opened(tmp_path / "data" / "longtail.db") as store:
        yield store


def changed_ids(it: Opened, after: int = 0) -> list[str]:
    changes = it.store.changes.item_changes(after, it.revision, it.encoder_id)
    return [change.id for change in changes]


def test_changes_show_the_current_version_of_what_changed(it: Opened) -> None:
    before = it.upsert(*(new_item(name) for name in ("a", "b", "c")))
    it.upsert(new_item("b", prior=4))
    it.remove("a")
    replaced, removed = it.store.changes.item_changes(before, it.revision, it.encoder_id)
    assert (replaced.id, replaced.removed, replaced.prior) == ("b", False, 4)
    assert replaced.title == new_item("b").content.title
    assert replaced.attributes == {"year": 1999, "tags": ["a"]}
    assert replaced.vector is not None
    assert replaced.vector.tolist() == VECTOR.tolist()
    assert (removed.id, removed.removed, removed.vector) == ("a", True, None)
    assert (removed.title, removed.attributes) == ("", {})
    assert changed_ids(it) == ["c", "b", "a"]
    assert it.present() == ["c", "b"]
    (without,) = islice(it.store.changes.item_changes(before, it.revision, 99), 1)
    assert (without.removed, without.vector) == (False, None)


def test_changes_are_read_across_chunks(it: Opened) -> None:
    names = [f"item-{number}" for number in range(2 * CHUNK + 1)]
    start = it.revision
    it.upsert(*map(new_item, names))
    assert changed_ids(it) == names == it.present()
    assert changed_ids(it, after=start + CHUNK + 1) == names[CHUNK + 1 :]
    assert it.store.changes.vectors(it.encoder_id, names).keys() == set(names)


def test_reading_the_whole_catalogue_sees_no_write_that_comes_meanwhile(it: Opened) -> None:
    names = [f"item-{number}" for number in range(2 * CHUNK)]
    it.upsert(*map(new_item, names))
    reading = it.store.changes.current()
    seen = [next(reading).id]
    it.remove(names[-1])
    it.upsert(new_item("late"))
    seen.extend(change.id for change in reading)
    assert seen == names


def test_popularity_changes_are_those_after_a_revision(it: Opened) -> None:
    _, first = it.interact(event("1", "a"), event("2", "b"))
    _, second = it.interact(event("3", "b"))
    (change,) = it.store.changes.popularity_changes(first, second)
    assert (change.item_id, [each.interactions for each in change.types]) == ("b", [2])
    assert list(it.store.changes.popularity_changes(second, second + 9)) == []


def test_popularity_changes_show_an_item_with_all_its_types(it: Opened) -> None:
    buy = replace(event("1", "a"), type="buy")
    _, first = it.interact(buy, event("2", "b"))
    _, second = it.interact(event("3", "a"))
    (change,) = it.store.changes.popularity_changes(first, second)
    assert [(each.type, each.interactions) for each in change.types] == [("buy", 1), ("view", 1)]
    assert [each.type for each in it.store.changes.popularity_of("a")[1]] == ["buy", "view"]
    assert it.store.changes.popularity_of("unknown")[1] == []


def test_everything_survives_reopening(tmp_path: Path) -> None:
    path = tmp_path / "longtail.db"
    with opened(path) as it:
        it.upsert(new_item("a"), new_item("b"))
        it.remove("b")
        it.interact(event("e", "a"))
        before = (it.store.changes.identity(), it.store.changes.position(), it.present())
        item = it.store.items.get(["a"])
    with opened(path) as it:
        assert before == (it.store.changes.identity(), it.store.changes.position(), it.present())
        assert it.store.items.get(["a"]) == item
        assert it.popularity() == {"a": 1}


def test_each_store_has_an_identity_of_its_own(it: Opened, tmp_path: Path) -> None:
    other = RecordStore.open(tmp_path / "other.db")
    assert other.changes.identity() != it.store.changes.identity()
    assert other.token_key() != it.store.token_key()
    assert len(other.token_key()) == 32
    other.close()


@pytest.mark.parametrize("loss", ["DELETE FROM token_key", "UPDATE token_key SET key = x''"])
def test_a_store_that_has_lost_its_key_says_so(it: Opened, loss: str) -> None:
    with closing(sqlite3.connect(it.store.path)) as connection, connection:
        connection.execute(loss)
    with pytest.raises(StoreDamaged, match=r"longtail\.db has lost the key"):
        it.store.token_key()
