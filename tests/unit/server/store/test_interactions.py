from collections.abc import Iterator
from pathlib import Path

import pytest
from longtail.server.store import interactions as records
from longtail.server.store.records import Counts

from tests.unit.server.store_records import Opened, event, opened


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Opened]:
    with opened(tmp_path / "data" / "longtail.db") as store:
        yield store


def test_an_event_counts_once(it: Opened) -> None:
    written, first = it.interact(event("e"), event("e", item_id="other"))
    assert written == 1
    again, revision = it.interact(event("e", item_id="other"), event("f"))
    assert again == 1
    assert revision > first
    assert it.interact(event("e")) == (0, revision)
    assert it.popularity() == {"film": 2}


@pytest.mark.parametrize(
    ("user_id", "item_id", "expected"),
    [
        ("ann", "", ["5", "2", "3", "1"]),
        ("", "a", ["5", "4", "2", "1"]),
        ("ann", "a", ["5", "2", "1"]),
    ],
)
def test_pages_run_from_the_latest_on_and_then_by_event(
    it: Opened, user_id: str, item_id: str, expected: list[str]
) -> None:
    it.interact(
        event("1", "a", time=1),
        event("3", "b", time=2),
        event("2", "a", time=2),
        event("4", "a", "bob", time=3),
        event("5", "a", time=4),
    )
    found = []
    after = None
    while page := it.store.interactions.list_page(
        user_id=user_id, item_id=item_id, after=after, limit=1
    ):
        found.append(page[0].event_id)
        after = (page[0].time, page[0].event_id, page[0].user_id)
    assert found == expected


def test_forgetting_a_person_takes_their_popularity_back(it: Opened) -> None:
    it.interact(event("1"), event("2"), event("3", "solo"), event("4", user_id="bob"))
    before = it.revision
    assert it.do(lambda tx: it.store.interactions.delete_user(tx, "ann")) == (3, before + 1)
    assert it.popularity() == {"film": 1, "solo": 0}
    assert it.store.activity.person("ann", 10).history == ()
    assert it.store.counts() == Counts(items=0, interactions=1, users=1)
    assert it.do(lambda tx: it.store.interactions.delete_user(tx, "ann")) == (0, before + 1)


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
def test_all_interactions_come_once_each_persons_in_the_order_of_time(
    it: Opened, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "CHUNK", chunk)
    it.interact(
        event("5", "a", time=2),
        event("1", "b", time=9),
        event("4", "c", time=2),
        event("3", "a", "bob", time=1),
        event("2", "b", "bob", time=1),
    )
    assert [each.event_id for each in it.store.interactions.all()] == ["4", "5", "1", "2", "3"]
    assert next(it.store.interactions.all()) == event("4", "c", time=2)


def test_reading_all_interactions_holds_no_transaction_open(
    it: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "CHUNK", 1)
    it.interact(event("1", time=1), event("3", time=3))
    reading = it.store.interactions.all()
    assert next(reading).event_id == "1"
    it.interact(event("2", time=2), event("0", time=0))
    assert [each.event_id for each in reading] == ["2", "3"]
