"""What is older than interactions are kept goes: from the store, memory, files and copies."""

import asyncio
import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from longtail.server.catalogue.behaviour import BehaviourView
from longtail.server.operations.erasure import Erasure
from longtail.server.operations.restore import restore
from longtail.server.operations.snapshots import Snapshots
from longtail.server.process.audit import Audit
from longtail.server.process.office import Office
from longtail.server.process.part import Part
from longtail.server.ranking.behaviour import Behaviour
from longtail.server.settings import DAY
from longtail.server.store.clock import now
from longtail.server.store.erasures import Expiry, Left
from longtail.server.store.record_store import DATABASE, RecordStore
from longtail.server.store.records import Counts, Interaction, OperationKind
from longtail.server.upkeep import retention
from longtail.server.upkeep.retention import expire, watch_retention

from tests.unit.server.catalogues import Written, behaviour_of, opened

SECRET = "<old-person>" * 4


def event(name: str, person: str = "ann", days_ago: float = 0.0, item: str = "i") -> Interaction:
    return Interaction(name, person, item, "view", 1.0, now() - round(days_ago * DAY), "")


async def expired(written: Written, folder: Path, days: float = 30.0) -> int:
    with closing(Audit(folder / "audit", None, 10**6)) as audit:
        return await expire(written.store, written._commit, now() - round(days * DAY), audit)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while True:
            if holds():
                return
            await asyncio.sleep(0.01)


def left(store: RecordStore) -> list[str]:
    return sorted(each.event_id for each in store.interactions.all())


async def test_what_is_older_is_deleted_and_stays_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "EXPIRED_AT_ONCE", 3)
    with opened(tmp_path) as written:
        written.interact(
            *(event(f"old {n}", "bob", 31 + n) for n in range(7)),
            event("new", days_ago=29),
            event("old", days_ago=31),
            event("ahead", days_ago=-4000),
        )
        assert await expired(written, tmp_path) == 8
        assert left(written.store) == ["ahead", "new"]
        assert written.store.counts() == Counts(items=0, interactions=2, users=1)
        [change] = written.store.changes.popularity_changes(0, 2**62)
        assert sum(each.interactions for each in change.types) == 10
        # What nobody dates stays is of when it was recorded, whatever it says.
        assert await expired(written, tmp_path, days=-1) == 2
        assert written.store.counts() == Counts(items=0, interactions=0, users=0)
        # Whoever comes back and is deleted takes back what they did since, and no more.
        written.interact(event("again"))
        written.write(lambda tx: written.store.forget(tx, "ann"))
        [change] = written.store.changes.popularity_changes(0, 2**62)
        assert sum(each.interactions for each in change.types) == 10
    lines = [
        json.loads(line) for line in (tmp_path / "audit/audit.jsonl").read_text().split("\n")[:-1]
    ]
    assert [(line["caller"], line["action"], line["count"]) for line in lines] == [
        ("server", "interactions expired", 8),
        ("server", "interactions expired", 2),
    ]


def in_office() -> Office:
    office = Office()
    office.set(True)
    return office


async def test_it_goes_on_where_it_was_broken_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "EXPIRED_AT_ONCE", 2)
    with opened(tmp_path) as written, closing(Audit(tmp_path / "audit", None, 10**6)) as audit:
        written.interact(*(event(f"{n}", days_ago=40 - n) for n in range(5)))
        before = now() - 30 * DAY
        # A process that is killed after its first batch.
        written.write(lambda tx: written.store.expire(tx, before, 2))
        assert left(written.store) == ["2", "3", "4"]
        assert written.store.erasures.left() == Left.STORE
        watch = watch_retention(
            written.store, written._commit, 30 * DAY, audit, in_office(), Part("retention")
        )
        task = asyncio.create_task(watch)
        await until(lambda: written.store.erasures.expiry().before >= before)
        task.cancel()
        assert left(written.store) == []
        [asked] = written.store.operations.unfinished()
        assert asked.kind == OperationKind.ERASE_USER_DATA


async def test_it_is_done_once_a_day_and_after_the_clock_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PERIOD_SECONDS", 0.0)
    swept = asyncio.Event()

    async def noted(*_: object) -> int:
        swept.set()
        return 0

    with opened(tmp_path) as written, closing(Audit(tmp_path / "audit", None, 10**6)) as audit:
        note = written.store.erasures.note_expiry
        written.write(lambda tx: note(tx, Expiry(now() - 29 * DAY, 1), Left.NOWHERE))
        monkeypatch.setattr(retention, "expire", noted)
        watch = watch_retention(
            written.store,
            written._commit,
            29 * DAY + DAY // 2,
            audit,
            in_office(),
            Part("retention"),
        )
        task = asyncio.create_task(watch)
        read, looks = written.store.erasures.expiry, list[Expiry]()

        def counted() -> Expiry:
            looks.append(read())
            return looks[-1]

        monkeypatch.setattr(written.store.erasures, "expiry", counted)
        await until(lambda: len(looks) > 4)
        assert not swept.is_set()
        written.write(lambda tx: note(tx, Expiry(now() + DAY, 1), Left.NOWHERE))
        await asyncio.wait_for(swept.wait(), 60)
        task.cancel()
        monkeypatch.undo()
        assert await expired(written, tmp_path) == 0
        assert written.store.erasures.expiry().before <= now()


async def test_memory_forgets_what_expired_in_every_process(tmp_path: Path) -> None:
    with opened(tmp_path) as written:
        written.interact(
            event("1", "ann", 40, "gone"),
            event("2", "ann", 1, "kept"),
            event("3", "bob", 40, "gone"),
            # It was liked again since.
            event("4", "cid", 40, "kept"),
            event("5", "cid", 1, "kept"),
        )
        with (
            closing(RecordStore.open(written.store.path)) as other,
            behaviour_of(written.store) as first,
            behaviour_of(other) as second,
        ):
            views = first, second
            for view in views:
                assert view.people.load("ann").seen(frozenset()) == {"gone", "kept"}
            assert await expired(written, tmp_path) == 3
            held = [view.behaviour for view in views]
            for view, before in zip(views, held, strict=True):
                view.follow()
                person = view.people.load("ann")
                assert person.seen(frozenset()) == {"kept"}
                assert [past.item_id for past in person.history] == ["kept"]
                await until(partial(_is_new, view, before))
                # Nothing of it, not even the name of an item that nobody else liked.
                assert view.behaviour.ids == ["kept"]
                assert view.is_complete
            # What is recorded then is followed, as before.
            written.interact(event("6", "dan", item="another"))
            for view in views:
                view.follow()
                assert view.behaviour.ids == ["kept", "another"]


def traces(folder: Path) -> list[str]:
    return [
        path.name
        for path in folder.rglob("*")
        if path.is_file() and SECRET[12:].encode() in path.read_bytes()
    ]


async def test_its_bytes_go_from_files_snapshots_and_restores(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path / "snapshots")
    with opened(tmp_path) as written:
        old = [event(f"o{n}", f"{SECRET}{n % 7}", 31, f"i{n % 50}") for n in range(2000)]
        new = [event(f"n{n}", f"person {n % 7}", 3, f"i{n % 50}") for n in range(2000)]
        for at in range(0, 2000, 100):
            written.interact(*old[at : at + 100], *new[at : at + 100])
        made = snapshots.create(written.store, lambda _done, _total: None)
        newer = [replace(each, event_id=f"x{each.event_id}") for each in new[:10]]
        assert await expired(written, tmp_path) == 2000
        assert f"{DATABASE}" in traces(tmp_path / "snapshots")
        written.interact(*newer)
        Erasure(written.store, written._commit, tmp_path, snapshots).run(lambda _done, _total: None)
        assert written.store.erasures.left() == Left.NOWHERE
        assert traces(tmp_path) == []
        assert snapshots.verify(made.id, lambda _done, _total: None).interactions == 2000
        # One that was made before, put back by hand, is not brought back by a restore either.
        late = snapshots.create(written.store, lambda _done, _total: None)
        expiry = written.store.erasures.expiry()
        await expired(written, tmp_path, days=2)
        assert written.store.erasures.expiry().before > expiry.before
    restore(tmp_path, tmp_path / "snapshots", late.id)
    with closing(RecordStore.open(tmp_path / DATABASE)) as store:
        assert left(store) == []
        assert store.erasures.expiry().before > expiry.before
    assert not (tmp_path / DATABASE).read_bytes().count(b"person 3")


def _is_new(view: BehaviourView, before: Behaviour) -> bool:
    return view.behaviour is not before
