"""What the store counts, against a sum over all interactions that are recorded."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from longtail.server.store.records import Interaction
from longtail.server.store.sqlite.check import check_database

from tests.unit.server.store_records import Opened, event, opened

DAY = 24 * 3600 * 10**6
NOW = 1_700_000_000 * 10**6
HALF_LIFE = 3.0 * DAY


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Opened]:
    with opened(tmp_path / "data" / "longtail.db") as store:
        yield store


def decay_by(it: Opened, half_life: float) -> bool:
    return it.do(lambda tx: it.store.interactions.set_half_life(tx, half_life))


def forget(it: Opened, user_id: str) -> None:
    it.do(lambda tx: it.store.interactions.delete_user(tx, user_id))


def counted(it: Opened) -> dict[tuple[str, str], tuple[int, float]]:
    """Return count and decayed sum by item and type, of what there is any of."""
    decay = it.store.changes.popularity_decay()
    return {
        (change.item_id, each.type): (
            each.interactions,
            each.total.at(decay.newest, decay.half_life),
        )
        for change in it.store.changes.popularity_changes(0, it.revision)
        for each in change.types
        if each.interactions or each.total.mass
    }


def added_up(
    events: Iterable[Interaction], half_life: float
) -> dict[tuple[str, str], tuple[int, float]]:
    times: dict[tuple[str, str], list[int]] = {}
    for each in events:
        times.setdefault((each.item_id, each.type), []).append(min(each.time, NOW))
    newest = max((max(moments) for moments in times.values()), default=0)
    return {
        key: (len(moments), sum(0.5 ** ((newest - moment) / half_life) for moment in moments))
        for key, moments in times.items()
    }


def agree(it: Opened, events: Iterable[Interaction], half_life: float) -> None:
    expected = added_up(events, half_life)
    found = counted(it)
    assert found.keys() == expected.keys()
    for key, (count, mass) in expected.items():
        assert found[key][0] == count
        assert found[key][1] == pytest.approx(mass, rel=1e-9)


events = st.builds(
    Interaction,
    event_id=st.integers(0, 60).map(str),
    user_id=st.sampled_from(["ann", "bob", "eve"]),
    item_id=st.sampled_from(["a", "b", "c"]),
    type=st.sampled_from(["view", "buy"]),
    value=st.just(1.0),
    # Some ahead of the clock, some before 1970, some so old that nothing is left of them.
    time=st.one_of(
        st.integers(NOW - 20 * DAY, NOW + 3 * DAY), st.sampled_from([-DAY, -(10**16), 0, NOW])
    ),
    query=st.just(""),
)
batches = st.lists(events, max_size=8)
steps = st.one_of(batches, st.sampled_from(["ann", "bob", "eve"]), st.just("reopen"))


@settings(max_examples=20)
@given(st.lists(steps, max_size=12), st.sampled_from([HALF_LIFE, 0.01 * DAY, math.inf]))
def test_counts_and_sums_are_those_of_all_that_is_recorded(
    history: list[list[Interaction] | str], half_life: float
) -> None:
    recorded: dict[tuple[str, str], Interaction] = {}
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: NOW * 1000)
        path = Path(folder) / "longtail.db"
        with opened(path) as it:
            decay_by(it, half_life)
        waiting = iter(history)
        ended = False
        while not ended:
            with opened(path) as it:
                for step in waiting:
                    if isinstance(step, list):
                        it.interact(*step)
                        for each in step:
                            recorded.setdefault((each.user_id, each.event_id), each)
                    elif step == "reopen":
                        break
                    else:
                        forget(it, step)
                        recorded = {
                            key: each for key, each in recorded.items() if each.user_id != step
                        }
                    agree(it, recorded.values(), half_life)
                else:
                    ended = True
                agree(it, recorded.values(), half_life)
        assert check_database(path) == []


def test_without_decay_all_count_alike(it: Opened) -> None:
    it.interact(event("1", time=0), event("2", time=NOW), replace(event("3"), type="buy"))
    assert counted(it) == {("film", "view"): (2, 2.0), ("film", "buy"): (1, 1.0)}
    assert decay_by(it, math.inf) is False


def test_a_changed_half_life_counts_anew(it: Opened) -> None:
    recorded = [event(str(number), "ab"[number % 2], time=number * DAY) for number in range(40)]
    it.interact(*recorded)
    forgotten = event("x", "b", "bob", time=99 * DAY)
    it.interact(forgotten)
    forget(it, "bob")
    for half_life in (HALF_LIFE, 10.0 * DAY, math.inf):
        before = it.revision
        assert decay_by(it, half_life) is True
        assert it.store.changes.popularity_decay().half_life == half_life
        agree(it, recorded, half_life)
        # Who follows the store hears of it.
        changes = it.store.changes.popularity_changes(before, it.revision)
        assert [change.item_id for change in changes] == ["a", "b"]
        assert decay_by(it, half_life) is False
    assert counted(it) == {("a", "view"): (20, 20.0), ("b", "view"): (20, 20.0)}


def test_a_half_life_can_be_set_while_there_is_nothing(it: Opened) -> None:
    assert decay_by(it, HALF_LIFE) is True
    assert counted(it) == {}
    it.interact(event("1", time=-5 * DAY))
    assert counted(it) == {("film", "view"): (1, 1.0)}
    assert it.store.changes.popularity_decay().newest == -5 * DAY


@pytest.mark.parametrize("half_life", [HALF_LIFE, math.inf])
def test_forgetting_everybody_leaves_nothing(it: Opened, half_life: float) -> None:
    decay_by(it, half_life)
    for number in range(200):
        it.interact(event(str(number), user_id=f"{number % 7}", time=number * 977 * 10**6))
    for user in range(7):
        forget(it, f"{user}")
    (change,) = it.store.changes.popularity_changes(0, it.revision)
    (left,) = change.types
    assert (left.interactions, left.total.mass) == (0, 0.0)
    assert it.store.changes.popularity_of("film")[1] == []


def test_what_is_as_good_as_nothing_beside_the_newest_comes_back_without_it(it: Opened) -> None:
    decay_by(it, HALF_LIFE)
    it.interact(event("old", time=0), event("older", "other", time=-int(HALF_LIFE)))
    it.interact(event("new", user_id="bob", time=NOW))
    assert counted(it)["film", "view"] == (2, 1.0)
    forget(it, "bob")
    assert counted(it) == {("film", "view"): (1, 1.0), ("other", "view"): (1, 0.5)}


def test_what_is_dated_ahead_counts_as_of_now_and_keeps_its_date(
    it: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: NOW * 1000)
    decay_by(it, HALF_LIFE)
    it.interact(event("1", "a", time=NOW + 300 * DAY), event("2", "b", time=NOW - 3 * DAY))
    assert counted(it) == {("a", "view"): (1, 1.0), ("b", "view"): (1, 0.5)}
    (listed,) = it.store.interactions.list_page(user_id="", item_id="a", after=None, limit=9)
    assert listed.time == NOW + 300 * DAY
    # And stays there as the clock goes on, whatever is counted anew.
    monkeypatch.setattr(time, "time_ns", lambda: (NOW + 6 * DAY) * 1000)
    it.interact(event("3", "b", time=NOW + 6 * DAY))
    assert counted(it)["a", "view"] == (1, 0.25)
    decay_by(it, 2 * HALF_LIFE)
    assert counted(it)["a", "view"] == (1, 0.5)


def test_a_write_that_fails_counts_nothing(it: Opened) -> None:
    decay_by(it, HALF_LIFE)
    it.interact(event("1", time=NOW - DAY))
    before = counted(it), it.revision

    def fail(write: Callable[[], object]) -> None:
        write()
        raise ValueError("after the write")

    recorded = [event("2", time=NOW)]
    with pytest.raises(ValueError, match="after the write"):
        it.do(lambda tx: fail(lambda: it.store.interactions.write(tx, recorded)))
    assert (counted(it), it.revision) == before
