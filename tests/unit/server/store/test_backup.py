import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from longtail.server.store.sqlite.check import check_database

from tests.unit.server.store_records import event, new_item, opened


def filled(path: Path) -> Path:
    with opened(path) as it:
        it.upsert(*(new_item(f"item-{number}", "x" * 900) for number in range(5000)))
        it.remove("item-0")
        it.interact(event("1", "item-1"), event("2", "item-1"), event("3", "other"))
    return path


def test_a_backup_is_one_file_as_of_one_revision_while_writes_go_on(tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    steps: list[tuple[int, int]] = []
    with opened(filled(tmp_path / "longtail.db")) as it:
        before = it.present()

        def progress(done: int, total: int) -> None:
            steps.append((done, total))
            it.upsert(new_item(f"late-{len(steps)}"))

        it.store.backup(folder / "copy.db", progress)
        identity = it.store.changes.identity()
        assert len(it.present()) == len(before) + len(steps)
    assert len(steps) > 1
    assert steps[-1][0] == steps[-1][1] == (folder / "copy.db").stat().st_size
    assert [file.name for file in folder.iterdir()] == ["copy.db"]
    assert check_database(folder / "copy.db") == []
    with opened(folder / "copy.db") as copy:
        assert copy.present() == before
        assert copy.store.changes.identity() != identity


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ("DELETE FROM vectors WHERE item_id = 'item-7'", "1 items have no vector"),
        ("UPDATE vectors SET data = x'00' WHERE item_id = 'item-7'", "1 vectors are not of the"),
        ("UPDATE vectors SET item_id = 'x' WHERE item_id = 'item-7'", "1 vectors are of items"),
        ("UPDATE sequence SET revision = 4999", "items have revisions"),
        ("UPDATE popularity SET revision = 1000000 WHERE item_id = 'other'", "1 counts have"),
        ("UPDATE popularity SET interactions = 3 WHERE item_id = 'item-1'", "1 items have another"),
        ("DELETE FROM popularity WHERE item_id = 'other'", "1 items have another count"),
        ("UPDATE popularity SET type = 'x' WHERE item_id = 'other'", "2 items have another count"),
        ("UPDATE popularity SET mass = 1 WHERE item_id = 'item-1'", "1 items have a sum"),
        ("UPDATE popularity SET mass = 2 WHERE item_id = 'other'", "1 items have a sum"),
        ("UPDATE alembic_version SET version_num = '9'; DROP TABLE schema_floor", "schema is 9"),
        ("DROP TABLE alembic_version", "not a store"),
    ],
)
def test_what_does_not_agree_is_named(tmp_path: Path, damage: str, problem: str) -> None:
    path = filled(tmp_path / "longtail.db")
    assert check_database(path) == []
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(damage)
    assert any(problem in found for found in check_database(path))


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    path = filled(tmp_path / "longtail.db")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    path.write_bytes(data)
    assert check_database(path)
    assert check_database(tmp_path / "none.db")


def test_a_store_that_is_open_is_checked_with_its_log(tmp_path: Path) -> None:
    with opened(tmp_path / "longtail.db") as it:
        it.upsert(new_item("a"))
        assert check_database(it.store.path) == []
        it.do(lambda tx: tx.exec_driver_sql("UPDATE counts SET items = 9"))
        assert check_database(it.store.path) == ["1 numbers of what there is are wrong"]
        shutil.copy(it.store.path, tmp_path / "without-its-log.db")
    assert check_database(tmp_path / "without-its-log.db") == []
