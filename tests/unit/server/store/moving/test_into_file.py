"""A store on a server, copied into a file while it is written to."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from longtail.runtime.errors import StorageFull
from longtail.server.store.database import Database
from longtail.server.store.moving.ends import opened
from longtail.server.store.schema import items, sequence
from sqlalchemy import delete, func, select, update

from tests.unit.server.store.invented_store import contents, fill

ROWS = 12


@pytest.fixture
def shared(postgresql_url: str) -> Iterator[Database]:
    with opened(postgresql_url, make=True) as database:
        with database.writing.begin() as connection:
            fill(connection, ROWS)
        yield database


def held(database: Database) -> dict[str, list[str]]:
    with database.engine.connect() as connection:
        return contents(connection)


def test_it_is_what_the_store_was_when_it_began(shared: Database, tmp_path: Path) -> None:
    before, told = held(shared), list[tuple[int, int]]()

    def write_on(done: int, total: int) -> None:
        if not told:
            with shared.writing.begin() as connection:
                connection.execute(delete(items))
                connection.execute(update(sequence).values(revision=99_999))
        told.append((done, total))

    target = tmp_path / "copy.db"
    shared.back_up(target, write_on)
    assert [path.name for path in tmp_path.iterdir()] == ["copy.db"]
    assert told == sorted(told)
    assert told[-1] == (shared.size(), shared.size())
    with shared.engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(items)).scalar() == 0
    with opened(f"sqlite:{target}", make=False) as copy:
        copied = held(copy)
        # It goes its own way from there.
        assert copied.pop("sequence") != before.pop("sequence")
        assert copied == before
        with copy.engine.connect() as one, shared.engine.connect() as other:
            revision = one.execute(select(sequence.c.revision)).scalar()
            assert revision == 10 * ROWS
            identities = [
                each.execute(select(sequence.c.identity)).scalar() for each in (one, other)
            ]
    assert identities[0] != identities[1]


def test_one_that_is_broken_off_leaves_nothing(shared: Database, tmp_path: Path) -> None:
    def stop(_done: int, _total: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        shared.back_up(tmp_path / "copy.db", stop)
    assert list(tmp_path.iterdir()) == []
    # Nor is the store kept from anything.
    with closing(shared.writing.connect()) as connection, connection.begin():
        connection.execute(delete(items))


def test_a_full_disk_is_told_and_nothing_is_left(shared: Database, small_disk: Path) -> None:
    with shared.writing.begin() as connection:
        connection.execute(update(items).values(text="x" * 300_000))
    with pytest.raises(StorageFull):
        shared.back_up(small_disk / "copy.db", lambda _done, _total: None)
    assert list(small_disk.iterdir()) == []
