"""What a failing database tells: never what was written or asked for."""

import logging
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from longtail.runtime.errors import StoreDamaged
from longtail.server.store.schema import interactions
from longtail.server.store.sqlite import opening

from tests.damages import damage_page
from tests.unit.server.store_records import Opened, event, new_item, opened

SECRET = "whom-I-love-in-secret"


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    for record in caplog.get_records("call"):
        assert SECRET not in logging.Formatter().format(record)


def secret_write(it: Opened) -> Future[Any]:
    events = [event(f"{SECRET}-{number}", user_id=SECRET) for number in range(50)]
    return it.writer.submit(lambda tx: it.store.interactions.write(tx, events))


def told(error: BaseException | None) -> str:
    assert error is not None
    assert SECRET not in repr(error)
    return str(error)


def test_a_locked_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "BUSY_SECONDS", 0.01)
    with (
        opened(tmp_path / "longtail.db") as it,
        closing(sqlite3.connect(it.store.path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        assert "locked" in told(secret_write(it).exception(30))


@pytest.mark.parametrize(
    "breaks",
    [
        "DROP TABLE counts",
        "ALTER TABLE interactions DROP COLUMN query",
        "CREATE TRIGGER no BEFORE INSERT ON interactions BEGIN SELECT RAISE(ABORT, 'no'); END",
        "CREATE UNIQUE INDEX one ON interactions (user_id)",
    ],
)
def test_a_statement_that_fails(tmp_path: Path, breaks: str) -> None:
    with opened(tmp_path / "longtail.db") as it:
        it.do(lambda tx: tx.exec_driver_sql(breaks))
        error = secret_write(it).exception(30)
        logging.getLogger("test").error("unexpected failure", exc_info=error)
        assert "parameters hidden" in told(error)


def test_a_value_that_is_none(tmp_path: Path) -> None:
    with opened(tmp_path / "longtail.db") as it:
        row = {"event_id": SECRET, "user_id": object()}
        error = it.writer.submit(lambda tx: tx.execute(interactions.insert(), row)).exception(30)
        logging.getLogger("test").error("unexpected failure", exc_info=error)
        told(error)


def test_a_text_that_is_none(tmp_path: Path) -> None:
    with opened(tmp_path / "longtail.db") as it:
        it.interact(event(SECRET, user_id="ann"))
        # Python shows such a text when it cannot read it.
        spoil = "UPDATE interactions SET query = CAST(CAST(? AS BLOB) || x'ff' AS TEXT)"
        it.do(lambda tx: tx.exec_driver_sql(spoil, (SECRET,)))
        with pytest.raises(StoreDamaged) as caught:
            it.store.interactions.list_page(user_id="ann", item_id="", after=None, limit=9)
        logging.getLogger("test").error("unexpected failure", exc_info=caught.value)
        assert "UTF-8" in told(caught.value)


def damaged_table(it: Opened, table: str) -> None:
    """Damage the root page of a table or index, under a store that has it open."""
    with closing(sqlite3.connect(it.store.path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        (page,) = connection.execute(query, (table,)).fetchone()
    damage_page(it.store.path, page - 1)


@pytest.fixture
def reopened(tmp_path: Path) -> Iterator[Callable[[str], Opened]]:
    with opened(tmp_path / "longtail.db") as it:
        it.upsert(new_item("film"))
        it.interact(event("before", user_id="ann"))

        def damage(table: str) -> Opened:
            damaged_table(it, table)
            # Pages that are in a connection's cache are not read again.
            it.store._engine.dispose()
            it.writer._discard_connection()
            return it

        yield damage


@pytest.mark.parametrize("table", ["interactions", "interactions_by_user"])
def test_damage_ends_the_writing_and_not_the_reading(
    reopened: Callable[[str], Opened], table: str
) -> None:
    it = reopened(table)
    assert it.writer.damage is None
    error = secret_write(it).exception(30)
    assert isinstance(error, StoreDamaged)
    assert "malformed" in told(error)
    assert it.writer.damage is not None
    # More of them could make it worse.
    with pytest.raises(StoreDamaged, match="malformed"):
        it.upsert(new_item("other"))
    assert list(it.store.items.get(["film", "other"])) == ["film"]


def test_a_read_that_meets_damage_says_so(reopened: Callable[[str], Opened]) -> None:
    it = reopened("interactions_by_user")
    with pytest.raises(StoreDamaged, match="malformed"):
        it.store.interactions.list_page(user_id="ann", item_id="", after=None, limit=9)
    assert it.writer.damage is None


def test_a_group_that_waits_is_refused_with_what_was_found(
    reopened: Callable[[str], Opened],
) -> None:
    it = reopened("interactions")
    waiting = [secret_write(it) for _ in range(5)]
    assert {type(future.exception(30)) for future in waiting} == {StoreDamaged}
