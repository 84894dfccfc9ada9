"""The store's own numbers say what counting its tables would."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from longtail.server.store.records import Counts
from longtail.server.store.sqlite.check import check_database
from longtail.server.store.transaction import Transaction
from sqlalchemy import event as events

from tests.unit.server.store_records import event, new_item, opened

USERS = ["ann", "bob", "Zoë 'z'", '"quoted"', "7"]


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_written_is_counted(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "longtail.db"
    draw = random.Random(seed)
    items: set[str] = set()
    did: set[tuple[str, str]] = set()
    with opened(path) as it:
        for _ in range(60):
            names = draw.sample("abcdefgh", draw.randint(1, 3))
            match draw.randrange(4):
                case 0:
                    it.upsert(*map(new_item, names))
                    items.update(names)
                case 1:
                    it.remove(*names)
                    items.difference_update(names)
                case 2:
                    wrote = [
                        (str(draw.randrange(99)), draw.choice(USERS)) for _ in range(len(names) + 1)
                    ]
                    it.interact(
                        *(event(number, user_id=user) for number, user in [*wrote, wrote[0]])
                    )
                    did.update(wrote)
                case _:
                    user = draw.choice(USERS)
                    it.do(lambda tx, user=user: it.store.interactions.delete_user(tx, user))  # type: ignore[misc]
                    did = {(number, whose) for number, whose in did if whose != user}
            assert it.store.counts() == Counts(
                len(items), len(did), len({whose for _, whose in did})
            )
    assert check_database(path) == []


def test_a_write_that_fails_counts_nothing(tmp_path: Path) -> None:
    with opened(tmp_path / "longtail.db") as it:

        def fail(tx: Transaction) -> None:
            it.store.items.upsert(tx, [new_item("a")], it.encoder_id)
            it.store.interactions.write(tx, [event("1")])
            raise OSError("in the middle")

        with pytest.raises(OSError, match="in the middle"):
            it.do(fail)
        assert it.store.counts() == Counts(0, 0, 0)


def test_nothing_else_is_read_to_tell_them(tmp_path: Path) -> None:
    with opened(tmp_path / "longtail.db") as it:
        it.interact(event("1"))
        statements: list[str] = []
        events.listen(
            it.store._engine,
            "before_cursor_execute",
            lambda *call: statements.append(call[2]),
        )
        assert it.store.counts() == Counts(0, 1, 1)
    [statement] = statements[1:]
    assert statement.split()[-2:] == ["FROM", "counts"]


@pytest.mark.parametrize("column", ["items", "interactions", "users"])
def test_a_check_counts_again(tmp_path: Path, column: str) -> None:
    path = tmp_path / "longtail.db"
    with opened(path) as it:
        it.upsert(new_item("a"))
        it.interact(event("1"))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"UPDATE counts SET {column} = {column} + 1")
    assert check_database(path) == ["1 numbers of what there is are wrong"]
