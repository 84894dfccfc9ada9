from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from longtail.server.store.impressions import EXPOSURE
from longtail.server.store.records import Impression, Responses, ShownItem
from longtail.server.store.sqlite.check import check_database
from sqlalchemy import text

from tests.unit.server.store_records import Opened, event, opened

WEEK = 7 * 24 * 3600 * 10**6


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Opened]:
    path = tmp_path / "data" / "longtail.db"
    with opened(path) as store:
        yield store
    assert check_database(path) == []


def shown(
    item_id: str,
    name: str = "list",
    position: int = 1,
    user_id: str = "ann",
    time: int = 0,
    loss: float = 0.0,
) -> Impression:
    return Impression(name.encode(), item_id, position, user_id, time, loss, 1.0)


def write(it: Opened, *impressions: Impression) -> tuple[int, int]:
    return it.do(lambda tx: it.store.impressions.write(tx, impressions, 2**63))


def delete_user(it: Opened, user_id: str) -> tuple[int, int]:
    return it.do(lambda tx: it.store.impressions.delete_user(tx, user_id))


def levels(it: Opened, after: int = 0) -> dict[str, float]:
    changes = it.store.changes.exposure_changes(after, it.revision)
    return {change.item_id: 2 ** change.total.level(change.half_life) for change in changes}


def responses(it: Opened, item_id: str) -> tuple[Responses, Responses]:
    return it.store.impressions.responses(item_id)


def test_an_item_at_a_position_of_a_list_counts_once(it: Opened) -> None:
    first = write(it, shown("a"), shown("a", time=9), shown("a", position=2), shown("b"))
    assert first == (3, it.revision)
    assert write(it, shown("a", user_id="bob", time=5)) == (0, it.revision)
    recorded, revision = write(it, shown("a", "other"), shown("a"))
    assert (recorded, revision) == (1, first[1] + 1)
    assert responses(it, "a")[0].impressions == 3
    assert it.store.impressions.recent("ann", 0, 9) == [("a", 0), ("b", 0)]


def test_exposure_halves_with_every_half_life(it: Opened) -> None:
    write(it, shown("a"), shown("b", time=0))
    _, before = write(it, shown("a", "later", time=WEEK), shown("c", "later", time=WEEK))
    exposure = levels(it)
    assert exposure["a"] / exposure["b"] == pytest.approx(3)
    assert exposure["c"] / exposure["b"] == pytest.approx(2)
    write(it, shown("b", "early", time=-WEEK))
    changed = levels(it, after=before)
    assert changed.keys() == {"b"}
    assert changed["b"] / exposure["b"] == pytest.approx(1.5)


def test_forgetting_a_person_takes_their_exposure_back(it: Opened) -> None:
    write(it, shown("a"), shown("a", position=2), shown("b"))
    write(it, shown("a", "bob's", user_id="bob", time=WEEK))
    before, former = it.revision, levels(it)
    assert delete_user(it, "ann") == (3, before + 1)
    exposure = levels(it, after=before)
    # Two from a week before were worth one.
    assert exposure["a"] / former["a"] == pytest.approx(1 / 2)
    assert exposure["b"] == 0
    assert responses(it, "a")[0].impressions == 1
    assert it.store.impressions.recent("ann", 0, 9) == []
    assert it.store.impressions.recent("bob", 0, 9) == [("a", WEEK)]
    assert delete_user(it, "ann") == (0, before + 1)


def test_nothing_is_left_of_what_is_taken_back(it: Opened) -> None:
    times = [0, 7, WEEK // 3, WEEK // 7]
    write(it, *(shown("a", position=at + 1, time=time) for at, time in enumerate(times)))
    delete_user(it, "ann")
    assert levels(it) == {"a": 0}


def test_little_is_left_whole_beside_much_that_is_taken_back(it: Opened) -> None:
    write(it, shown("a", "bob's", user_id="bob"), shown("b", "bob's", user_id="bob"))
    former = levels(it)
    write(it, *(shown("a", position=at, time=60 * WEEK) for at in range(1, 4)))
    delete_user(it, "ann")
    assert levels(it) == former


def test_what_is_no_longer_kept_stays_counted_when_a_person_is_forgotten(it: Opened) -> None:
    write(it, *(shown("a", "bob's", position=at, user_id="bob") for at in range(1, 9)))
    write(it, shown("b", "bob's", user_id="bob", time=WEEK))
    former = levels(it)
    assert it.do(lambda tx: it.store.impressions.prune(tx, WEEK, 9)) == 8
    write(it, *(shown(item_id, time=2 * WEEK) for item_id in "ab"))
    delete_user(it, "ann")
    assert levels(it) == pytest.approx(former)


def test_another_half_life_counts_anew(it: Opened) -> None:
    write(it, shown("a"), shown("b"))
    write(it, shown("a", "later", time=WEEK))
    before = it.revision
    impressions = it.store.impressions
    assert not it.do(lambda tx: impressions.set_half_life(tx, WEEK))
    assert it.revision == before
    assert it.do(lambda tx: impressions.set_half_life(tx, WEEK / 2))
    exposure = levels(it, after=before)
    assert exposure["a"] / exposure["b"] == pytest.approx(5)
    write(it, shown("b", "later", time=WEEK))
    assert levels(it)["b"] == pytest.approx(exposure["a"])
    assert it.do(EXPOSURE.half_life) == WEEK / 2
    assert responses(it, "a")[0].impressions == 2


def test_the_oldest_are_forgotten_and_stay_counted(it: Opened) -> None:
    write(it, *(shown("a", position=at, time=at) for at in (1, 2, 3)))
    write(it, shown("b", "other", time=1))
    before = levels(it)
    impressions = it.store.impressions
    assert it.do(lambda tx: impressions.prune(tx, 3, 2)) == 2
    assert it.do(lambda tx: impressions.prune(tx, 3, 2)) == 1
    assert it.do(lambda tx: impressions.prune(tx, 3, 2)) == 0
    assert impressions.shown(0, 10).items == [ShownItem("a", 1, 1.0)]
    assert levels(it) == before
    assert responses(it, "a")[0].impressions == 3
    # What is no longer kept cannot be counted anew.
    it.do(lambda tx: impressions.set_half_life(tx, 2 * WEEK))
    assert levels(it)["b"] == 0


def test_an_impression_from_before_the_clock_was_set_back_does_not_stay_for_ever(
    it: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(it, shown("a", time=1_000))
    clock = [500]
    monkeypatch.setattr("longtail.server.store.clock.now", lambda: clock[0])
    assert it.do(lambda tx: it.store.impressions.prune(tx, 500, 9)) == 0
    clock[0] = 700
    assert it.do(lambda tx: it.store.impressions.prune(tx, 600, 9)) == 1


def test_recent_is_the_last_time_of_each_item(it: Opened) -> None:
    write(it, shown("a", time=5), shown("b", time=7), shown("c", time=1), shown("d", time=7))
    write(it, shown("a", "again", time=9), shown("e", "again", user_id="bob", time=9))
    recent = it.store.impressions.recent
    assert recent("ann", 5, 9) == [("a", 9), ("b", 7), ("d", 7)]
    assert recent("ann", 5, 2) == [("a", 9), ("b", 7)]
    assert recent("ann", 10, 9) == []
    assert recent("nobody", 0, 9) == []


def test_a_span_is_counted_by_item_and_by_list(it: Opened) -> None:
    write(it, *(shown(name, "x", time=10, loss=0.3) for name in "ab"))
    write(it, *(shown(name, "y", time=19, loss=0.1) for name in "abcd"))
    write(it, shown("a", "y", position=2, time=20), shown("z", "w", time=9, loss=0.9))
    span = it.store.impressions.shown(10, 20)
    assert (span.impressions, span.lists) == (6, 2)
    assert span.relevance_loss == pytest.approx(0.2)
    assert sorted(span.items, key=lambda item: item.item_id) == [
        ShownItem("a", 2, 0.75),
        ShownItem("b", 2, 0.75),
        ShownItem("c", 1, 0.25),
        ShownItem("d", 1, 0.25),
    ]
    nothing = it.store.impressions.shown(100, 200)
    assert (nothing.items, nothing.impressions, nothing.lists) == ([], 0, 0)
    assert nothing.relevance_loss == 0


def test_responses_are_what_came_from_lists(it: Opened) -> None:
    assert responses(it, "a") == (Responses(0, 0), Responses(0, 0))
    write(it, shown("a"), shown("a", position=2), shown("b"))
    it.interact(
        replace(event("1", "a"), recommendation_token="list"),
        replace(event("2", "c"), recommendation_token="list"),
        event("3", "a"),
    )
    assert responses(it, "a") == (Responses(2, 1), Responses(3, 2))
    assert responses(it, "b") == (Responses(1, 0), Responses(3, 2))


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("SELECT * FROM impressions WHERE time >= 1 AND time < 9", "impressions_by_time"),
        ("SELECT * FROM impressions WHERE user_id = 'a' AND time >= 1", "impressions_by_user"),
        (
            "SELECT count(*) FROM interactions WHERE recommendation_token <> '' AND item_id = 'a'",
            "interactions_by_recommended_item",
        ),
    ],
)
def test_what_is_looked_up_has_an_index(it: Opened, query: str, index: str) -> None:
    plan = it.do(lambda tx: tx.execute(text(f"EXPLAIN QUERY PLAN {query}")).all())
    assert any(index in row.detail for row in plan)


def test_impressions_survive_reopening(tmp_path: Path) -> None:
    path = tmp_path / "longtail.db"
    with opened(path) as it:
        write(it, shown("a", time=3, loss=0.5))
        before = (levels(it), it.store.impressions.shown(0, 9), responses(it, "a"))
    with opened(path) as it:
        assert (levels(it), it.store.impressions.shown(0, 9), responses(it, "a")) == before
        assert write(it, shown("a", time=3)) == (0, it.revision)


def test_the_check_finds_impressions_that_are_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "longtail.db"
    with opened(path) as it:
        write(it, shown("a"))
        it.do(lambda tx: tx.execute(text("UPDATE exposure SET impressions = 0")))
    assert check_database(path) == ["1 items have fewer impressions counted than there are"]
