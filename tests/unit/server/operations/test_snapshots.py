import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from longtail.runtime.errors import FailedPrecondition, NotFound
from longtail.server.operations.migrate import main as migrate
from longtail.server.operations.restore import main, restore
from longtail.server.operations.snapshots import (
    MANIFEST,
    DamagedSnapshot,
    SnapshotLimits,
    Snapshots,
)
from longtail.server.process.folder_lock import held
from longtail.server.store.record_store import DATABASE, RecordStore
from longtail.server.store.records import Interaction, OperationKind, OperationState
from longtail.server.store.sqlite import opening
from longtail.server.store.sqlite.backup import back_up
from longtail.server.store.sqlite.check import check_database

from tests.damages import check_refusals
from tests.postgresql import PostgreSQL


def count(_done: int, _total: int) -> None:
    pass


def event(name: str, person: str = "u") -> Interaction:
    return Interaction(name, person, "i", "view", 1.0, 1, "")


def write(store: RecordStore, name: str, person: str = "u") -> None:
    with store.group_commit(lambda: None, 8) as commit:
        commit.submit(lambda tx: store.interactions.write(tx, [event(name, person)])).result()


def test_a_snapshot_holds_what_the_store_held_and_is_sound(tmp_path: Path) -> None:
    store, snapshots = RecordStore.open(tmp_path / DATABASE), Snapshots(tmp_path / "snapshots")
    write(store, "a")
    made = snapshots.create(store, count)
    write(store, "b")
    assert (made.interactions, made.revision) == (1, 1)
    assert snapshots.verify(made.id, count) == made
    assert snapshots.create(store, count).interactions == 2
    assert [snapshot.interactions for snapshot in snapshots.all()] == [2, 1]
    store.close()


@pytest.mark.parametrize("name", [DATABASE, MANIFEST])
def test_a_flipped_byte_is_seen(tmp_path: Path, name: str) -> None:
    store, snapshots = RecordStore.open(tmp_path / DATABASE), Snapshots(tmp_path / "snapshots")
    made = snapshots.create(store, count)
    path = snapshots.path(made.id) / name
    sound = path.read_bytes()
    for place in range(0, len(sound), max(1, len(sound) // 50)):
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])
        with pytest.raises(DamagedSnapshot):
            snapshots.verify(made.id, count)
    store.close()


@pytest.mark.parametrize("name", ["", "..", "000001-x", "../snapshots"])
def test_what_is_no_snapshot_is_not_found(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFound):
        Snapshots(tmp_path).verify(name, count)


def test_an_attempt_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def stop(_done: int, _total: int) -> None:
        raise InterruptedError

    store, snapshots = RecordStore.open(tmp_path / DATABASE), Snapshots(tmp_path / "snapshots")
    with pytest.raises(InterruptedError):
        snapshots.create(store, stop)
    assert list((tmp_path / "snapshots").iterdir()) == []
    store.close()


def test_a_restored_store_is_the_snapshot_and_the_former_one_is_kept(tmp_path: Path) -> None:
    store, snapshots = RecordStore.open(tmp_path / DATABASE), Snapshots(tmp_path / "snapshots")
    write(store, "a")
    with store.group_commit(lambda: None, 8) as commit:
        kind = OperationKind.CREATE_SNAPSHOT
        under_way = commit.submit(lambda tx: store.operations.create(tx, kind, {})).result()
    made = snapshots.create(store, count)
    write(store, "b")
    identity = store.changes.identity()
    store.close()

    done = restore(tmp_path, tmp_path / "snapshots", made.id)
    restored, aside = done.snapshot, done.aside
    assert restored == made
    store = RecordStore.open(tmp_path / DATABASE)
    assert store.counts().interactions == 1
    identities = {identity, store.changes.identity()}
    ended = store.operations.get(under_way.id)
    assert ended is not None
    assert ended.state == OperationState.FAILED
    store.close()
    assert aside is not None
    former = RecordStore.open(aside)
    assert former.counts().interactions == 2
    former.close()

    restore(tmp_path, tmp_path / "snapshots", made.id)
    again = RecordStore.open(tmp_path / DATABASE)
    # Each time the revisions after it mean something else.
    assert len(identities | {again.changes.identity()}) == 3
    again.close()


def test_a_store_on_a_server_is_restored_into_a_file_and_moved_back(
    postgresql: PostgreSQL, postgresql_url: str, tmp_path: Path
) -> None:
    home, folder = tmp_path / "data", tmp_path / "snapshots"
    home.mkdir()
    snapshots = Snapshots(folder)
    with closing(RecordStore.open(postgresql_url)) as store:
        for name, person in (("a", "stays"), ("b", "goes")):
            write(store, name, person)
        made = snapshots.create(store, count)
        assert snapshots.verify(made.id, count) == made
        assert (made.interactions, made.revision) == (2, 2)
        snapshots.check_room(SnapshotLimits(2, made.size + store.size()), store, 0)
        with pytest.raises(FailedPrecondition, match="LONGTAIL_SNAPSHOTS_GB"):
            snapshots.check_room(SnapshotLimits(2, made.size), store, 0)
        write(store, "c", "stays")
        with store.group_commit(lambda: None, 8) as commit:
            commit.submit(lambda tx: store.forget(tx, "goes")).result()
        revision = store.changes.position().revision
        key = store.token_key()

    assert restore(home, folder, made.id, postgresql_url).knows_forgotten
    place = f"sqlite:{home / DATABASE}"
    assert not check_database(home / DATABASE)
    fresh = postgresql.new_database()
    assert migrate(["--from", place, "--to", fresh, "--switch"]) == 0
    with closing(RecordStore.open(fresh)) as store:
        # Whoever was deleted since stays so, and no revision is given out twice.
        assert store.persons() == ["stays"]
        assert [each.event_id for each in store.interactions.all()] == ["a"]
        assert store.changes.position().revision >= revision
        assert store.token_key() == key
        assert snapshots.create(store, count).interactions == 1
    away = postgresql_url.replace("127.0.0.1:", "127.0.0.1:1")
    assert not restore(home, folder, made.id, away).knows_forgotten


def test_a_list_that_was_given_out_is_known_after_a_restore(tmp_path: Path) -> None:
    store, snapshots = RecordStore.open(tmp_path / DATABASE), Snapshots(tmp_path / "snapshots")
    made = snapshots.create(store, count)
    key = store.token_key()
    store.close()
    # Twice: a restored store is the original of the next snapshot.
    for _ in range(2):
        restore(tmp_path, tmp_path / "snapshots", made.id)
        store = RecordStore.open(tmp_path / DATABASE)
        assert store.token_key() == key
        made = snapshots.create(store, count)
        store.close()


def test_a_snapshot_of_an_earlier_schema_is_sound_and_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshots = Snapshots(tmp_path / "snapshots")
    store = RecordStore.open(tmp_path / DATABASE)
    write(store, "a")

    def earlier(target: Path, progress: Callable[[int, int], None]) -> None:
        back_up(store.path, target, progress)
        with closing(sqlite3.connect(target)) as copy, copy:
            copy.execute("DROP TABLE token_key")
            copy.execute('ALTER TABLE forgotten DROP COLUMN "left"')
            for column in ("refused", "refusals"):
                copy.execute(f"ALTER TABLE operations DROP COLUMN {column}")
            copy.execute("DROP TABLE expiry")
            copy.execute("DROP TABLE attribute_names")
            copy.execute("DROP TABLE schema_floor")
            copy.execute("DROP TABLE encode_leases")
            copy.execute("DROP TABLE encode_refusals")
            copy.execute("DROP TABLE extra_vectors")
            copy.execute("DROP TABLE vector_spaces")
            copy.execute("DROP TABLE usage")
            copy.execute("ALTER TABLE items DROP COLUMN owner")
            copy.execute("DROP TABLE pseudonyms")
            copy.execute("DROP INDEX interactions_by_age")
            copy.execute("DROP TABLE decisions")
            copy.execute("DROP INDEX items_in_review")
            copy.execute("ALTER TABLE items DROP COLUMN content_revision")
            copy.execute("UPDATE alembic_version SET version_num = '0006'")

    with monkeypatch.context() as patch:
        patch.setattr(store, "backup", earlier)
        # What is made is described by opening it, which would bring it to the newest schema.
        patch.setattr(opening, "migrate", lambda _connection, expanded: None)
        patch.setattr(opening, "lost_tables", lambda _connection: set())
        made = snapshots.create(store, count)
    store.close()
    assert snapshots.verify(made.id, count) == made
    restore(tmp_path, tmp_path / "snapshots", made.id)
    store = RecordStore.open(tmp_path / DATABASE)
    assert store.counts().interactions == 1
    assert len(store.token_key()) == 32
    store.close()
    assert check_database(tmp_path / DATABASE) == []


def test_a_snapshot_restores_into_an_empty_folder_and_knows_its_lists(tmp_path: Path) -> None:
    store, snapshots = RecordStore.open(tmp_path / DATABASE), Snapshots(tmp_path / "snapshots")
    made, key = snapshots.create(store, count), store.token_key()
    store.close()
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(snapshots.path(made.id), elsewhere / "snapshots" / made.id)
    restore(elsewhere, elsewhere / "snapshots", made.id)
    store = RecordStore.open(elsewhere / DATABASE)
    assert store.token_key() == key
    store.close()


def test_a_restore_from_the_command_line_needs_the_server_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    store = RecordStore.open(data / DATABASE)
    write(store, "a")
    made = Snapshots(data / "snapshots").create(store, count)
    store.close()
    monkeypatch.setenv("LONGTAIL_HOME", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["restore", made.id])
    with held(data):
        assert main() == 1
    assert "another server runs on" in capsys.readouterr().err
    assert main() == 0
    assert f"restored {made.id}: 0 items and 1 interactions" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["restore", "nowhere"])
    assert main() == 1
    assert "'nowhere'" in capsys.readouterr().err


def test_a_damaged_file_is_refused_in_a_sentence_that_names_it(tmp_path: Path) -> None:
    store, snapshots = RecordStore.open(tmp_path / DATABASE), Snapshots(tmp_path / "snapshots")
    write(store, "a")
    made = snapshots.create(store, count)
    store.close()
    for name in (MANIFEST, DATABASE):
        path = snapshots.path(made.id) / name
        refusals = check_refusals(path, lambda: snapshots.verify(made.id, count), DamagedSnapshot)
        assert refusals > 20
        check_refusals(path, snapshots.all, AssertionError)
    assert snapshots.verify(made.id, count) == made


def test_what_only_looks_like_a_snapshot_is_passed_over(tmp_path: Path) -> None:
    store, snapshots = RecordStore.open(tmp_path / DATABASE), Snapshots(tmp_path / "snapshots")
    made = snapshots.create(store, count)
    for name in ("1x-copy", f"{made.id}.bak", "9-"):
        (tmp_path / "snapshots" / name).mkdir()
    assert snapshots.all() == [made]
    assert snapshots.create(store, count).id.startswith("000010-")
    store.close()
