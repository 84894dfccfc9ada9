import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
from longtail.runtime.errors import FailedPrecondition, StoreDamaged
from longtail.server.catalogue.index.generation import ROW, Target, write_generation
from longtail.server.catalogue.index.graph import IndexParameters
from longtail.server.catalogue.index.hnsw import HnswGraphs
from longtail.server.catalogue.index.vector_file import VectorFile
from longtail.server.operations.snapshots import Snapshots
from longtail.server.operations.start_check import check_store
from longtail.server.process.at_rest import note
from longtail.server.store.record_store import DATABASE, RecordStore
from longtail.server.store.sqlite.check import version_of
from longtail.server.store.sqlite.log_check import log_problem
from longtail.server.store.sqlite.opening import UNFINISHED

from tests.damages import damage_page, damages
from tests.unit.server.store_records import event, new_item, opened

ITEMS = 300
PAGE = 4096


def check(data: Path) -> None:
    check_store(data, data / "index", data / "snapshots")


def refused(data: Path) -> str:
    """Return why the store is refused: in one line, twice, and with nothing changed by it."""
    before = {path.name: path.read_bytes() for path in data.iterdir() if path.is_file()}
    for _ in range(2):
        with pytest.raises(StoreDamaged) as caught:
            check(data)
    assert "\n" not in str(caught.value)
    assert before == {name: (data / name).read_bytes() for name in before}
    return str(caught.value)


def written(data: Path) -> None:
    with opened(data / DATABASE) as it:
        for begin in range(0, ITEMS, 10):
            it.upsert(*(new_item(f"item-{n}", "A title" * 20) for n in range(begin, begin + 10)))
            it.interact(event(f"{begin}"))


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a store that was closed."""
    data = tmp_path_factory.mktemp("stopped")
    written(data)
    return data


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a store whose server was killed: all but the schema is in its log."""
    origin, data = tmp_path_factory.mktemp("running"), tmp_path_factory.mktemp("killed")
    store = RecordStore.open(origin / DATABASE)
    written(origin)
    for path in origin.glob(f"{DATABASE}*"):
        shutil.copy(path, data)
    store.close()
    assert (data / f"{DATABASE}-wal").stat().st_size > PAGE * 100
    return data


@pytest.fixture
def data(stopped: Path, tmp_path: Path) -> Path:
    return shutil.copytree(stopped, tmp_path / "data")


@pytest.fixture
def crashed(killed: Path, tmp_path: Path) -> Path:
    return shutil.copytree(killed, tmp_path / "data")


def held(data: Path) -> int:
    store = RecordStore.open(data / DATABASE)
    count = len(list(store.changes.current()))
    store.close()
    return count


def test_a_sound_store_and_none_at_all_are_started_on(data: Path, tmp_path: Path) -> None:
    check(data)
    assert held(data) == ITEMS
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "lock").touch()
    check(empty)


def test_a_store_whose_server_was_killed_is_sound(crashed: Path) -> None:
    check(crashed)
    assert held(crashed) == ITEMS


def test_each_damage_is_refused_or_does_no_harm(data: Path) -> None:
    sound = (data / DATABASE).read_bytes()
    refusals = 0
    for name, damage in damages(len(sound)):
        (data / DATABASE).write_bytes(damage(sound))
        with suppress(StoreDamaged):
            check(data)
            # SQLite has no checksums of pages: what lies within a row is not seen.
            assert held(data) == ITEMS, name
            continue
        refusals += 1
    assert refusals > 10


def test_each_damage_of_a_store_that_was_stopped_is_refused(data: Path) -> None:
    sound = (data / DATABASE).read_bytes()
    note(data / DATABASE, version_of(data / DATABASE))
    check(data)
    for name, damage in damages(len(sound)):
        if (damaged := damage(sound)) != sound:
            (data / DATABASE).write_bytes(damaged)
            assert str(data / DATABASE) in refused(data), name
    (data / DATABASE).unlink()
    assert "is missing, but" in refused(data)


def test_a_store_that_was_opened_again_is_no_longer_what_it_was(data: Path) -> None:
    note(data / DATABASE, version_of(data / DATABASE))
    assert held(data) == ITEMS
    with closing(sqlite3.connect(data / DATABASE)) as database:
        database.execute("UPDATE sequence SET identity = 'another'")
        database.commit()
    check(data)


def test_each_page_that_is_damaged_is_refused(data: Path) -> None:
    sound = (data / DATABASE).read_bytes()
    for page in range(len(sound) // PAGE):
        (data / DATABASE).write_bytes(sound)
        damage_page(data / DATABASE, page)
        assert str(data / DATABASE) in refused(data), page


def test_an_emptied_file_is_refused_by_whoever_opens_it(data: Path) -> None:
    (data / DATABASE).write_bytes(b"")
    assert f"{data / DATABASE} is empty" in refused(data)
    with pytest.raises(StoreDamaged, match="is empty"):
        RecordStore.open(data / DATABASE)
    assert (data / DATABASE).stat().st_size == 0


@pytest.mark.parametrize(
    ("statement", "reason"),
    [("CREATE TABLE other (a)", "no store"), ("DELETE FROM alembic_version", "exists"),
     ("DROP TABLE sequence", "no table sequence")],
)  # fmt: skip
def test_what_is_no_store_of_this_version_is_refused(
    data: Path, statement: str, reason: str
) -> None:
    path = data / DATABASE
    if reason == "no store":
        path.unlink()
    with closing(sqlite3.connect(path)) as database:
        database.execute(statement)
        database.commit()
    with pytest.raises(StoreDamaged, match=reason) as caught:
        RecordStore.open(path)
    assert str(path) in str(caught.value)


def test_the_store_of_a_newer_version_is_not_called_damaged(data: Path) -> None:
    path = data / DATABASE
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.execute("UPDATE schema_floor SET oldest = '9999'")
        database.commit()
    with pytest.raises(FailedPrecondition, match="unknown to this version; run the one") as caught:
        RecordStore.open(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("left", ["index", "snapshots", "log"])
def test_a_file_that_is_missing_is_refused(crashed: Path, left: str) -> None:
    store = RecordStore.open(crashed / DATABASE)
    if left == "snapshots":
        Snapshots(crashed / left).create(store, lambda _done, _total: None)
    store.close()
    (crashed / DATABASE).unlink()
    if left == "index":
        generation(crashed, "any")
    if left == "log":
        (crashed / f"{DATABASE}-wal").write_bytes(b"what was written last")
    reason = refused(crashed)
    assert f"{crashed / DATABASE} is missing, but {crashed}/" in reason
    assert not (crashed / DATABASE).exists()


def test_a_log_that_was_emptied_beside_an_index_is_refused(crashed: Path) -> None:
    store = RecordStore.open(crashed / DATABASE)
    identity = store.changes.identity()
    store.close()
    for path in crashed.iterdir():
        path.unlink()
    RecordStore.open(crashed / DATABASE).close()
    check(crashed)
    generation(crashed, identity)
    # It is the index of another store.
    check(crashed)
    with closing(sqlite3.connect(crashed / DATABASE)) as database:
        database.execute("UPDATE sequence SET identity = ?", (identity,))
        database.commit()
    assert "is emptied: it holds no write, but its index has 3 items" in refused(crashed)


def generation(data: Path, identity: str) -> None:
    folder = data / "index" / "encoder-1"
    folder.mkdir(parents=True)
    vectors = VectorFile.create(folder, 2).extended([np.eye(3, 2, dtype=np.float32)])
    parameters, graphs = IndexParameters(2, 4, 10, 10), HnswGraphs()
    target = Target(folder, f"tiny@1 {identity}", parameters, graphs)
    draft = graphs.draft(target, 1, None, 3)
    write_generation(target, 1, draft, np.zeros(3, ROW), vectors, lambda: None, lambda _, __: ())


def test_a_log_that_was_damaged_before_its_end_is_refused(crashed: Path) -> None:
    log = crashed / f"{DATABASE}-wal"
    sound = log.read_bytes()
    seen = 0
    for name, damage in damages(len(sound)):
        if name.startswith(("cut", "emptied")):
            # That could be a log which was never written any further.
            continue
        log.write_bytes(damage(sound))
        if damage(sound) == sound:
            continue
        seen += 1
        place = int(name.split()[-1])
        if place < len(sound) - 20 * PAGE:
            assert str(log) in refused(crashed), name
    assert seen > 10


def test_the_transaction_that_a_crash_interrupted_is_none(crashed: Path) -> None:
    log = crashed / f"{DATABASE}-wal"
    sound = log.read_bytes()
    for left in (len(sound) - 1, len(sound) - PAGE, len(sound) - 10 * PAGE):
        log.write_bytes(sound[:left])
        check(crashed)
    log.write_bytes(sound[: -PAGE // 2] + bytes(PAGE // 2))
    check(crashed)
    assert held(crashed) > 0


def test_a_log_within_its_header_is_refused(crashed: Path) -> None:
    log = crashed / f"{DATABASE}-wal"
    log.write_bytes(log.read_bytes()[:20])
    assert f"{log} ends within its header" in refused(crashed)


def test_what_a_killed_first_start_left_is_removed(tmp_path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"{DATABASE}{UNFINISHED}abc{suffix}").write_bytes(b"begun")
    check(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_new_store_is_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        assert not (tmp_path / DATABASE).exists()
        raise InterruptedError

    monkeypatch.setattr("longtail.server.store.sqlite.opening.migrate", fail)
    with pytest.raises(InterruptedError):
        RecordStore.open(tmp_path / DATABASE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [512, 4096, 65536])
def test_a_log_is_read_as_sqlite_reads_it(tmp_path: Path, size: int) -> None:
    log = tmp_path / "any.db-wal"
    with closing(sqlite3.connect(tmp_path / "any.db", isolation_level=None)) as database:
        for setting in (f"page_size = {size}", "journal_mode = WAL", "wal_autocheckpoint = 0"):
            database.execute(f"PRAGMA {setting}")
        database.execute("CREATE TABLE t (x)")
        for turn in range(3):
            for number in range(40):
                database.execute("INSERT INTO t VALUES (randomblob(?))", (number * 50,))
            assert log_problem(log) is None
            if turn == 1:
                # The log begins anew over what stands in it.
                database.execute("PRAGMA wal_checkpoint(RESTART)")
        content = bytearray(log.read_bytes())
    content[32 + 2 * (24 + size) + 30] ^= 1
    log.write_bytes(content)
    assert "is damaged before the last 38 writes in it" in str(log_problem(log))
