"""What people did: of one person, since a revision, and all opinions."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from longtail.server.store.erasures import Left
from longtail.server.store.migration import alembic_config
from longtail.server.store.record_store import check_database
from longtail.server.store.records import Activity, Interaction, PersonRecord
from sqlalchemy import create_engine

from tests.unit.server.store_records import Opened, event, new_item, opened


def opinion(person: str, item: str, value: float, time: int) -> Interaction:
    event_id = f"{person} {item} {value} {time}"
    return Interaction(event_id, person, item, "rating", value, time, "")


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Opened]:
    with opened(tmp_path / "longtail.db") as found:
        yield found


def told(it: Opened, after: int = 0) -> list[tuple[str, float]]:
    return [(deed.past.item_id, deed.past.value) for deed in it.store.activity.since(after).deeds]


def test_they_come_in_the_order_of_revisions_and_within_one_in_that_of_times(it: Opened) -> None:
    it.interact(opinion("ann", "a", 1, 30), opinion("ann", "b", -1, 20), opinion("bob", "c", 2, 40))
    it.interact(opinion("ann", "d", 1, 10))
    assert told(it) == [("b", -1), ("a", 1), ("c", 2), ("d", 1)]


def test_only_what_is_above_a_revision_is_told(it: Opened) -> None:
    revisions = [it.interact(opinion("ann", item, 1, 0))[1] for item in "abcd"]
    assert told(it, revisions[1]) == [("c", 1), ("d", 1)]
    assert it.store.activity.since(revisions[3]) == Activity(revisions[3], (), ())


def test_how_far_it_was_read_is_told(it: Opened) -> None:
    it.interact(opinion("ann", "a", 1, 0))
    it.upsert(new_item("a"))
    assert it.store.activity.since(0).revision == it.revision


def test_an_event_that_is_repeated_is_told_once(it: Opened) -> None:
    first = opinion("ann", "a", 1, 0)
    it.interact(first, opinion("ann", "b", 0, 0))
    revision = it.revision
    it.interact(first)
    assert told(it) == [("a", 1), ("b", 0)]
    assert told(it, revision) == []


def test_a_person_is_told_by_hash(it: Opened) -> None:
    it.interact(opinion("ann", "a", 1, 0))
    [deed] = it.store.activity.since(0).deeds
    assert deed.person == it.store.person_hash("ann") != it.store.person_hash("bob")
    assert deed.revision == it.revision


def test_who_is_forgotten_is_told(it: Opened) -> None:
    it.interact(opinion("ann", "a", 1, 0), opinion("bob", "b", 1, 0))
    gone = it.do(lambda tx: it.store.forget(tx, "ann")).revision
    it.interact(opinion("ann", "c", 1, 0))
    assert told(it) == [("b", 1), ("c", 1)]
    assert it.store.activity.since(0).forgotten == [(it.store.person_hash("ann"), gone)]
    assert it.store.activity.since(gone).forgotten == []
    # Again, and from then on only the last time is told.
    again = it.do(lambda tx: it.store.forget(tx, "ann")).revision
    assert it.store.activity.since(0).forgotten == [(it.store.person_hash("ann"), again)]
    assert told(it) == [("b", 1)]


def test_who_was_never_there_is_noted_for_what_copies_and_lists_may_have(it: Opened) -> None:
    gone = it.do(lambda tx: it.store.forget(tx, "nobody"))
    assert (gone.interactions, gone.impressions) == (0, 0)
    assert it.store.activity.since(0).forgotten == [(it.store.person_hash("nobody"), gone.revision)]
    assert it.store.erasures.left() == Left.COPIES


def test_a_person_comes_with_the_latest_first_and_all_that_they_met_with(it: Opened) -> None:
    it.interact(
        event("4", "a", time=1),
        event("3", "b", time=3),
        event("1", "c", time=3),
        event("2", "a", time=2),
        event("5", "d", "bob"),
    )
    found = it.store.activity.person("ann", 10)
    assert found.revision == it.revision
    assert [past.event_id for past in found.history] == ["1", "3", "2", "4"]
    assert found.history[0] == ("c", "view", 1.0, 3, "1")
    cut = it.store.activity.person("ann", 2)
    assert cut.history == found.history[:2]
    assert sorted(cut.met) == sorted(found.met) == [(item, "view") for item in "aabc"]


def test_of_nobody_nothing_is_told(it: Opened) -> None:
    assert it.store.activity.person("nobody", 10) == PersonRecord(it.revision, (), [])


def test_what_an_older_store_holds_counts_as_of_its_revision(tmp_path: Path) -> None:
    path = tmp_path / "longtail.db"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        for statement in (
            "UPDATE sequence SET revision = 9",
            "INSERT INTO interactions VALUES ('1', 'ann', 'a', 'view', 1, 30, '')",
            "INSERT INTO interactions VALUES ('2', 'ann', 'b', 'view', 1, 20, '')",
            "INSERT INTO popularity VALUES ('a', 1, 8), ('b', 1, 9)",
        ):
            connection.exec_driver_sql(statement)
    engine.dispose()
    with opened(path) as it:
        assert told(it, 8) == [("b", 1), ("a", 1)]
        it.interact(opinion("bob", "a", 1, 10))
        assert told(it, 9) == [("a", 1)]
    assert check_database(path) == []


def test_a_revision_that_was_never_given_out_is_found(tmp_path: Path) -> None:
    path = tmp_path / "longtail.db"
    with opened(path) as it:
        it.interact(opinion("ann", "a", 1, 0))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE interactions SET revision = 1000")
    connection.close()
    assert check_database(path) == ["1 interactions have revisions that were never given out"]
