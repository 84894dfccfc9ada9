"""The opinions in the store, in the order in which they were recorded."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from alembic import command
from longtail.server.store.database import alembic_config
from longtail.server.store.opinions import person_hash
from longtail.server.store.record_store import check_database
from longtail.server.store.records import Interaction
from sqlalchemy import create_engine

from tests.unit.server.store_records import Opened, opened


def opinion(person: str, item: str, value: float, time: int) -> Interaction:
    event_id = f"{person} {item} {value} {time}"
    return Interaction(event_id, person, item, "rating", value, time, "")


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Opened]:
    with opened(tmp_path / "longtail.db") as found:
        yield found


def told(it: Opened, after: int = 0, until: int | None = None) -> list[tuple[str | None, float]]:
    changes = it.store.opinions.changes(after, it.revision if until is None else until)
    return [(change.item_id, change.value) for change in changes]


def test_they_come_in_the_order_of_revisions_and_within_one_in_that_of_times(it: Opened) -> None:
    it.interact(opinion("ann", "a", 1, 30), opinion("ann", "b", -1, 20), opinion("bob", "c", 2, 40))
    it.interact(opinion("ann", "d", 1, 10))
    assert told(it) == [("b", -1), ("a", 1), ("c", 2), ("d", 1)]


def test_only_the_asked_revisions_are_told(it: Opened) -> None:
    revisions = [it.interact(opinion("ann", item, 1, 0))[1] for item in "abcd"]
    assert told(it, revisions[0], revisions[2]) == [("b", 1), ("c", 1)]
    assert told(it, revisions[3]) == []


def test_what_has_no_value_is_left_out_and_a_repetition_too(it: Opened) -> None:
    first = opinion("ann", "a", 1, 0)
    it.interact(first, opinion("ann", "b", 0, 0))
    revision = it.revision
    it.interact(first)
    assert told(it) == [("a", 1)]
    assert told(it, revision) == []


def test_a_person_is_told_by_hash(it: Opened) -> None:
    it.interact(opinion("ann", "a", 1, 0))
    [change] = it.store.opinions.changes(0, it.revision)
    assert change.person == person_hash("ann") != person_hash("bob")


def test_who_is_forgotten_is_told_in_turn(it: Opened) -> None:
    it.interact(opinion("ann", "a", 1, 0), opinion("bob", "b", 1, 0))
    _, gone = it.do(lambda tx: it.store.interactions.delete_user(tx, "ann"))
    it.interact(opinion("ann", "c", 1, 0))
    assert told(it) == [("b", 1), (None, 0), ("c", 1)]
    assert told(it, gone) == [("c", 1)]
    # Again, and from then on only the last time is told.
    it.do(lambda tx: it.store.interactions.delete_user(tx, "ann"))
    assert told(it) == [("b", 1), (None, 0)]


def test_who_was_never_there_is_not_forgotten(it: Opened) -> None:
    it.do(lambda tx: it.store.interactions.delete_user(tx, "nobody"))
    assert told(it) == []


def test_more_than_are_read_at_a_time(it: Opened) -> None:
    random = np.random.default_rng(2)
    times = random.permutation(2500).tolist()
    it.interact(*(opinion("ann", f"i{time}", 1, time) for time in times))
    assert told(it) == [(f"i{time}", 1) for time in range(2500)]


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
        assert told(it, 8, 9) == [("b", 1), ("a", 1)]
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
