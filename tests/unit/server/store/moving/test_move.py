"""A store is moved between engines, with every table filled, while it is written to."""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg
import pytest
from longtail.runtime.errors import FailedPrecondition
from longtail.server.store.database import Database
from longtail.server.store.moving.copying import TableCopy
from longtail.server.store.moving.ends import opened
from longtail.server.store.moving.move import Move
from longtail.server.store.record_store import RecordStore
from longtail.server.store.revisions import take_revisions
from sqlalchemy import text

from tests.postgresql import PostgreSQL
from tests.unit.server.new_stores import open_store
from tests.unit.server.store.invented_store import FLOATS, contents, fill

ROWS = 12
# So that each table has several parts.
PART = 8
SECONDS = 60.0


def nothing(_done: TableCopy) -> None:
    pass


def held(database: Database) -> dict[str, list[str]]:
    with database.engine.connect() as connection:
        return contents(connection)


def write(database: Database, *statements: str) -> None:
    with database.writing.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def changed(copied: list[TableCopy]) -> dict[str, tuple[int, int]]:
    """Return the rows that were written and deleted, by the table, where there are any."""
    return {c.table: (c.written, c.deleted) for c in copied if c.written or c.deleted}


def begun(source: Database, target: Database) -> Move:
    move = Move(source, target, PART)
    move.begin()
    return move


class Stores:
    """Empty stores of a kind, sqlite or postgresql, opened so that they can be moved."""

    def __init__(self, folder: Path, request: pytest.FixtureRequest, stack: ExitStack) -> None:
        self._folder, self._request, self._stack = folder, request, stack
        self._urls: dict[str, str] = {}

    def new(self, kind: str) -> Database:
        if kind == "sqlite":
            path = self._folder / f"{len(self._urls)}.db"
            open_store(path).close()
            with closing(sqlite3.connect(path)) as file, file:
                file.execute("UPDATE sequence SET identity = ?", (path.stem,))
            url = f"sqlite:{path}"
        else:
            server: PostgreSQL = self._request.getfixturevalue("postgresql")
            url = server.new_database(self._request.getfixturevalue("empty_postgresql"))
            self._stack.callback(server.drop, url)
            with psycopg.connect(url) as connection:
                connection.execute("UPDATE sequence SET identity = gen_random_uuid()")
        database = self._stack.enter_context(opened(url, make=True))
        self._urls[database.name] = url
        return database

    def record_store(self, database: Database) -> RecordStore:
        """Open a store as a server does."""
        path = database.file
        return RecordStore.open(path if path is not None else self._urls[database.name])

    def serve(self, database: Database) -> None:
        self.record_store(database).close()


@pytest.fixture(scope="module")
def empty_postgresql(postgresql: PostgreSQL) -> str:
    """Return the name of a database that is an empty store: to make one takes every migration."""
    url = postgresql.new_database()
    RecordStore.open(url).close()
    return url.rpartition("/")[2]


@pytest.fixture
def stores(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stores]:
    with ExitStack() as stack:
        yield Stores(tmp_path, request, stack)


@pytest.fixture
def filled(stores: Stores) -> Database:
    source = stores.new("sqlite")
    with source.writing.begin() as connection:
        fill(connection, ROWS)
    return source


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_store_is_moved_and_moved_back_to_where_it_was(
    stores: Stores, filled: Database, kind: str
) -> None:
    before = held(filled)
    other = stores.new(kind)
    move = begun(filled, other)
    assert {table: rows for table, (rows, _) in changed(move.copy(nothing)).items()} != {}
    assert changed(move.copy(nothing)) == {}
    copied = move.switch(nothing, SECONDS)
    assert {c.table: c.rows for c in copied} == move.counts()
    assert all(c.source_sum == c.copy_sum for c in copied)
    assert held(other) == before

    # Nobody serves the former, or moves it a second time; the other goes on.
    with pytest.raises(FailedPrecondition, match=r"was moved to .* start servers"):
        stores.serve(filled)
    with pytest.raises(FailedPrecondition, match="was moved to"):
        begun(filled, stores.new("sqlite"))
    stores.serve(other)
    write(other, "UPDATE sequence SET revision = 99999", "DELETE FROM interactions")
    later = held(other)

    back = begun(other, filled)
    assert changed(back.switch(nothing, SECONDS)) == {"interactions": (0, ROWS), "sequence": (1, 0)}
    assert held(filled) == later
    stores.serve(filled)
    with pytest.raises(FailedPrecondition, match="was moved to"):
        stores.serve(other)
    # The same sums, whichever engine holds it.
    again = begun(filled, other).copy(nothing)
    assert changed(again) == {}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_what_is_broken_off_goes_on_and_is_not_served_before_its_end(
    stores: Stores, filled: Database, kind: str
) -> None:
    target = stores.new(kind)
    move = begun(filled, target)

    def end_in_the_middle(done: TableCopy) -> None:
        if done.table == "items" and done.rows > ROWS // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        move.copy(end_in_the_middle)
    with pytest.raises(FailedPrecondition, match=r"unfinished copy of .* --switch"):
        stores.serve(target)
    rest = changed(begun(filled, target).copy(nothing))
    assert 0 < rest["items"][0] < ROWS
    # Broken off while writers wait, they go on.
    with pytest.raises(KeyboardInterrupt):
        move.switch(end_in_the_middle, SECONDS)
    write(filled, "UPDATE sequence SET revision = revision + 1")
    move.switch(nothing, SECONDS)
    assert held(target) == held(filled)


@pytest.mark.parametrize("kinds", [("sqlite", "postgresql"), ("postgresql", "sqlite")], ids=str)
def test_what_is_written_and_deleted_meanwhile_is_copied(
    stores: Stores, kinds: tuple[str, str]
) -> None:
    source, target = map(stores.new, kinds)
    with source.writing.begin() as connection:
        fill(connection, ROWS)
    move = begun(source, target)

    def write_behind(done: TableCopy) -> None:
        # Of what was copied just now, and of what comes next.
        if done.table == "items" and done.rows == PART:
            write(
                source,
                "UPDATE items SET title = 'anew', revision = revision + 1000 WHERE revision < 9",
                "DELETE FROM vectors",
                "DELETE FROM items WHERE revision = 20",
                "INSERT INTO usage VALUES ('\U0001f511', 1, 2, 3)",
                "UPDATE encoders SET role = 'retired' WHERE role = 'current'",
                "UPDATE encoders SET role = 'current' WHERE role = 'next'",
            )

    move.copy(write_behind)
    late = changed(move.copy(nothing))
    assert late["items"][0] > 0
    assert held(target) == held(source)
    assert changed(move.copy(nothing)) == {}
    write(
        source, "DELETE FROM interactions WHERE user_id = (SELECT min(user_id) FROM interactions)"
    )
    assert changed(move.switch(nothing, SECONDS)) == {"interactions": (0, 1)}
    assert held(target) == held(source)


def test_any_number_of_rows_may_be_gone(stores: Stores, filled: Database) -> None:
    target = stores.new("sqlite")
    move = begun(filled, target)
    move.copy(nothing)
    write(
        filled,
        "DELETE FROM interactions WHERE event_id NOT IN (SELECT min(event_id) FROM interactions)",
    )
    assert changed(move.copy(nothing)) == {"interactions": (0, ROWS - 1)}
    assert held(target) == held(filled)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_who_had_a_store_open_cannot_go_on_writing_when_it_is_moved(
    stores: Stores, filled: Database, kind: str
) -> None:
    source = stores.new(kind)
    move = begun(filled, source)
    move.switch(nothing, SECONDS)
    running = stores.record_store(source)
    with running.group_commit(lambda: None, 8) as commit:
        commit.submit(lambda tx: take_revisions(tx, 1)).result()
        begun(source, stores.new("sqlite")).switch(nothing, SECONDS)
        before = held(source)
        with pytest.raises(FailedPrecondition, match="was moved"):
            commit.submit(lambda tx: take_revisions(tx, 1)).result()
        assert held(source) == before
    running.close()


def test_writers_are_held_off_by_the_switch_and_not_before(
    stores: Stores, filled: Database
) -> None:
    def attempt(_done: TableCopy) -> None:
        path = filled.file
        assert path is not None
        with closing(sqlite3.connect(path, timeout=0)) as other, other:
            other.execute("UPDATE sequence SET revision = revision + 1")

    move = begun(filled, stores.new("sqlite"))
    move.copy(attempt)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        move.switch(attempt, SECONDS)
    with pytest.raises(FailedPrecondition, match="held off for 0 s"):
        move.switch(nothing, 0)
    attempt(TableCopy("items"))
    stores.serve(filled)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_damaged_copy_is_found_and_mended(stores: Stores, filled: Database, kind: str) -> None:
    target = stores.new(kind)
    move = begun(filled, target)
    move.copy(nothing)
    write(
        target,
        # By the last bit of it.
        "UPDATE exposure SET mass = 0.10000000000000002 WHERE mass = 0.1",
        "UPDATE popularity SET type = type || ' ' WHERE revision > 0",
        "DELETE FROM vectors",
        "INSERT INTO usage VALUES ('more', 1, 1, 1)",
    )
    found = changed(move.copy(nothing))
    assert found == {
        "exposure": (ROWS // len(FLOATS), 0),
        "popularity": (ROWS // 2, ROWS // 2),
        "vectors": (ROWS, 0),
        "usage": (0, 1),
    }
    assert held(target) == held(filled)


def test_a_copy_that_does_not_keep_what_is_written_to_it_is_told(
    stores: Stores, filled: Database
) -> None:
    target = stores.new("sqlite")
    write(
        target,
        "CREATE TRIGGER liar AFTER INSERT ON items BEGIN"
        " UPDATE items SET penalty = 0.5 WHERE id = new.id; END",
    )
    move = begun(filled, target)
    with pytest.raises(match="items: 8 rows"):
        move.copy(nothing)


def test_an_end_between_the_two_steps_of_the_switch_is_made_up_for(
    stores: Stores, filled: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = stores.new("sqlite")
    move = begun(filled, target)
    with monkeypatch.context() as patched:
        patched.setattr("longtail.server.store.moving.move.remove_seal", interrupt)
        with pytest.raises(KeyboardInterrupt):
            move.switch(nothing, SECONDS)
    for each in (filled, target):
        with pytest.raises(FailedPrecondition):
            stores.serve(each)
    begun(filled, target).switch(nothing, SECONDS)
    stores.serve(target)
    with pytest.raises(FailedPrecondition, match="was moved"):
        stores.serve(filled)


def interrupt(_connection: object) -> None:
    raise KeyboardInterrupt


def test_what_must_not_become_a_copy_does_not(stores: Stores, filled: Database) -> None:
    other, third = stores.new("sqlite"), stores.new("sqlite")
    write(other, "UPDATE sequence SET revision = 1")
    with pytest.raises(FailedPrecondition, match="holds a store that is in service"):
        begun(filled, other)
    with pytest.raises(FailedPrecondition, match="is both of them"):
        begun(filled, filled)
    begun(filled, third)
    with pytest.raises(FailedPrecondition, match="is of another store"):
        begun(other, third)
    with pytest.raises(FailedPrecondition, match="unfinished copy"):
        begun(third, filled)
    stores.serve(filled)
    stores.serve(other)


def test_a_text_that_postgresql_cannot_hold_is_told(stores: Stores, filled: Database) -> None:
    write(filled, "UPDATE items SET title = 'a' || char(0) WHERE revision = 3")
    with pytest.raises(FailedPrecondition, match=r"items.*NUL"):
        begun(filled, stores.new("postgresql")).copy(nothing)


def test_numbers_that_postgresql_gives_go_on_after_those_that_are_there(
    stores: Stores, filled: Database
) -> None:
    target = stores.new("postgresql")
    begun(filled, target).switch(nothing, SECONDS)
    write(
        target,
        "INSERT INTO encoders (model_id, dimension, role) VALUES ('new', 2, 'retired')",
    )
    with target.engine.connect() as connection:
        assert connection.execute(text("SELECT max(id) FROM encoders")).scalar() == ROWS + 1
