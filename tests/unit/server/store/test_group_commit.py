import sqlite3
import threading
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path

import pytest
from longtail.runtime.errors import Overloaded, Unavailable
from longtail.server.store import group_commit
from longtail.server.store.sqlite import opening
from longtail.server.store.transaction import Transaction
from sqlalchemy import event as events

from tests.unit.server.store_records import new_item, opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "longtail.db"


def test_writes_that_wait_together_share_one_commit(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However slow the machine is: a group is closed when it takes too long.
    monkeypatch.setattr(group_commit, "GROUP_SECONDS", 30.0)
    commits: list[object] = []
    shown: list[object] = []
    release = threading.Event()
    with opened(path, lambda: shown.append(None)) as it:
        first = it.writer.submit(lambda tx: release.wait(30))
        events.listen(it.store._engine, "commit", commits.append)
        shown.clear()

        def upsert(name: str) -> Future[tuple[int, int]]:
            written = [new_item(name)]
            return it.writer.submit(lambda tx: it.store.items.upsert(tx, written, it.encoder_id))

        later = [upsert(f"{number}") for number in range(20)]
        release.set()
        assert first.result(30)
        assert len({future.result(30) for future in later}) == 20
        assert len(commits) <= 2
        assert len(shown) <= 2


def test_an_exception_undoes_its_own_write_only(path: Path) -> None:
    release = threading.Event()

    with opened(path) as it:

        def fail(tx: Transaction) -> None:
            it.store.items.upsert(tx, [new_item("undone")], it.encoder_id)
            raise SystemExit("given up")

        it.writer.submit(lambda tx: release.wait(30))
        good = it.writer.submit(
            lambda tx: it.store.items.upsert(tx, [new_item("a")], it.encoder_id)
        )
        bad = it.writer.submit(fail)
        other = it.writer.submit(
            lambda tx: it.store.items.upsert(tx, [new_item("b")], it.encoder_id)
        )
        release.set()
        with pytest.raises(SystemExit, match="given up"):
            bad.result(30)
        assert other.result(30)[1] == good.result(30)[1] + 1
        assert it.present() == ["a", "b"]


def test_what_cannot_be_followed_fails_and_the_thread_lives_on(path: Path) -> None:
    broken = threading.Event()

    def committed() -> None:
        if broken.is_set():
            raise OSError("no view")

    with opened(path, committed) as it:
        broken.set()
        with pytest.raises(RuntimeError, match="could not follow"):
            it.upsert(new_item("a"))
        broken.clear()
        it.upsert(new_item("b"))
        assert it.present() == ["a", "b"]


def test_more_than_may_wait_is_refused_and_leaving_waits_for_the_rest(path: Path) -> None:
    release, begun = threading.Event(), threading.Event()

    def block(_tx: Transaction) -> None:
        begun.set()
        release.wait(30)

    with opened(path, max_waiting=2) as it:
        it.writer.submit(block)
        begun.wait(30)
        waiting: list[Future[int]] = [it.writer.submit(lambda tx: 1) for _ in range(2)]
        with pytest.raises(Overloaded):
            it.writer.submit(lambda tx: 1)
        release.set()
    assert [future.result(0) for future in waiting] == [1, 1]
    with pytest.raises(Unavailable, match="stopping"):
        it.writer.submit(lambda tx: 1)


def test_a_lock_that_is_not_had_in_time_is_unavailable(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "BUSY_SECONDS", 0.05)
    with opened(path) as it, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="locked"):
            it.upsert(new_item("a"))
        other.execute("ROLLBACK")
        it.upsert(new_item("b"))
        assert it.present() == ["b"]


def test_a_write_that_is_cancelled_before_its_turn_is_passed_over(path: Path) -> None:
    release, begun = threading.Event(), threading.Event()

    def block(_tx: Transaction) -> None:
        begun.set()
        release.wait(30)

    with opened(path) as it:
        it.writer.submit(block)
        begun.wait(30)
        write = it.writer.submit(
            lambda tx: it.store.items.upsert(tx, [new_item("a")], it.encoder_id)
        )
        assert write.cancel()
        release.set()
        it.upsert(new_item("b"))
        assert it.present() == ["b"]
