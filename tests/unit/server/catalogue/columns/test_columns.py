from typing import Any

import numpy as np
import pytest
from longtail.server.catalogue.columns.columns import DIED_NEVER, NO_ROW, Columns
from longtail.server.catalogue.columns.filter import Condition, Equals, Filter, Kind
from longtail.server.catalogue.columns.matching import matching
from longtail.server.store.decay import DecayedSum
from longtail.server.store.records import ItemChange, PopularityDecay, State

from tests.unit.server.catalogue.columns.carried import carried


def change(item_id: str, revision: int, **fields: Any) -> ItemChange:  # noqa: ANN401 (any field)
    given: dict[str, Any] = {
        "removed": False,
        "title": f"The {item_id}",
        "prior": 0.0,
        "state": State.ACTIVE,
        "available_from": None,
        "available_until": None,
        "attributes": {},
        "vector": None,
    }
    return ItemChange(id=item_id, revision=revision, **(given | fields))


def removal(item_id: str, revision: int) -> ItemChange:
    return change(item_id, revision, removed=True)


def seen(columns: Columns, revision: int) -> list[str]:
    rows = np.flatnonzero(columns.visible(revision, columns.count)).tolist()
    return sorted(columns.ids[row] for row in rows)


def filled() -> Columns:
    """Return a at rows 0 and 3, b removed at row 1, c at row 2."""
    columns = Columns()
    columns.append([change("a", 1, prior=0.5), change("b", 2), change("c", 3, prior=7.0)])
    columns.append(
        [
            change("a", 4, title="The a, again", prior=1.5, attributes={"colour": "red"}),
            removal("b", 5),
        ]
    )
    return columns


def test_a_new_version_takes_a_row_of_its_own_and_the_old_one_dies_at_its_revision() -> None:
    columns = Columns()
    assert columns.append([change("a", 1), change("b", 2)]).tolist() == [0, 1]
    assert columns.append([change("a", 3)]).tolist() == [2]
    assert columns.died.tolist() == [3, DIED_NEVER, DIED_NEVER]
    assert columns.born.tolist() == [1, 2, 3]
    assert (columns.newest(["a"]), columns.count, columns.live_count) == ([2], 3, 2)


def test_each_revision_sees_one_version_of_what_was_there() -> None:
    columns = filled()
    assert [seen(columns, revision) for revision in range(6)] == [
        [],
        ["a"],
        ["a", "b"],
        ["a", "b", "c"],
        ["a", "b", "c"],
        ["a", "c"],
    ]
    for revision, rows in {3: [0, 1, 2], 4: [3, 1, 2], 5: [3, NO_ROW, 2]}.items():
        found = columns.rows_at(["a", "b", "c"], revision)
        assert found.tolist() == rows
        there = found[found >= 0]
        assert columns.are_visible(there, revision).all()
    assert columns.rows_at(["a", "unknown"], 0).tolist() == [NO_ROW, NO_ROW]


def test_versions_of_one_item_in_one_batch_replace_one_another() -> None:
    columns = Columns()
    rows = columns.append([change("a", 1), change("a", 2), removal("a", 3), change("a", 4)])
    assert rows.tolist() == [0, 1, NO_ROW, 2]
    assert columns.died.tolist() == [2, 3, DIED_NEVER]
    assert columns.live_count == 1
    assert [seen(columns, revision) for revision in (2, 3, 4)] == [["a"], [], ["a"]]


def test_changes_that_are_replayed_change_nothing() -> None:
    columns = filled()
    before = (columns.died.tolist(), columns.live_count, columns.count)
    replayed = [change("c", 3), change("a", 4), removal("b", 5)]
    assert columns.append(replayed).tolist() == [2, 3, NO_ROW]
    assert columns.append([change("a", 1)]).tolist() == [NO_ROW]
    assert (columns.died.tolist(), columns.live_count, columns.count) == before


def test_a_removal_of_what_was_never_there_is_nothing() -> None:
    columns = Columns()
    assert columns.append([removal("a", 1)]).tolist() == [NO_ROW]
    columns.kill("b", 2)
    assert (columns.count, columns.live_count) == (0, 0)


def test_kill_ends_the_current_version() -> None:
    columns = filled()
    columns.kill("c", 6)
    assert (seen(columns, 5), seen(columns, 6)) == (["a", "c"], ["a"])
    assert columns.live_count == 1


def test_interactions_follow_an_item_from_before_it_came_until_it_comes_back() -> None:
    columns = Columns()
    columns.set_interactions("a", DecayedSum(3, 0))
    columns.append([change("a", 1, prior=0.5), change("a", 2, prior=0.25)])
    assert columns.mass(np.array([0, 1])).tolist() == [3.5, 3.25]
    columns.append([removal("a", 3)])
    columns.set_interactions("a", DecayedSum(4, 0))
    columns.append([change("a", 5)])
    assert columns.mass(np.array([2])).tolist() == [4]


def test_interactions_decay_and_priors_do_not() -> None:
    columns = filled()
    columns.set_interactions("a", DecayedSum(8.0, 1000))
    columns.set_interactions("late", DecayedSum(1.0, 1100))
    columns.set_interactions("c", DecayedSum(2.0, 1100))
    rows = np.array([3, 2])
    assert columns.mass(rows).tolist() == [9.5, 9]
    version = columns.version
    columns.set_decay(PopularityDecay(100.0, 1100))
    assert columns.version > version
    assert columns.mass(rows).tolist() == [5.5, 9]
    columns.set_decay(PopularityDecay(100.0, 1200))
    assert columns.mass(rows).tolist() == [3.5, 8]
    version = columns.version
    columns.set_decay(PopularityDecay(100.0, 1200))
    assert columns.version == version
    taken = carried(columns, np.array([2]))
    appended = taken.append([change("a", 9), change("late", 10), change("a", 11, prior=1)])
    assert taken.mass(appended).tolist() == [2, 0.5, 3]


def test_no_time_is_too_far_from_another() -> None:
    columns = filled()
    columns.set_interactions("a", DecayedSum(8.0, -(6 * 10**16)))
    columns.set_interactions("c", DecayedSum(2.0, 2 * 10**17))
    columns.set_decay(PopularityDecay(1.0, 2 * 10**17))
    assert columns.mass(np.array([3, 2, 1])).tolist() == [1.5, 9, 0]
    # And back again.
    columns.set_interactions("c", DecayedSum(0.0, -(6 * 10**16)))
    columns.set_decay(PopularityDecay(1.0, -(6 * 10**16)))
    assert columns.mass(np.array([3, 2, 1])).tolist() == [9.5, 7, 0]


def test_each_version_has_its_prior_and_penalty() -> None:
    columns = Columns()
    columns.append([change("a", 1, prior=2, penalty=0.25), change("b", 2)])
    columns.append([change("a", 3, prior=3, penalty=0.5)])
    rows = np.array([2, 0, 1])
    assert columns.penalty(rows, 0).tolist() == [0.5, 0.25, 0]
    assert columns.prior(rows).tolist() == [3, 2, 0]
    taken = carried(columns, np.array([NO_ROW, 2]))
    assert taken.penalty(np.array([0, 1]), 0).tolist() == [0, 0.5]


def test_only_what_is_active_and_available_is_offered() -> None:
    columns = Columns()
    columns.append(
        [
            change("plain", 1),
            change("hidden", 2, state=State.HIDDEN),
            change("in review", 3, state=State.IN_REVIEW),
            change("from now", 4, available_from=1000),
            change("later", 5, available_from=1001),
            change("until now", 6, available_until=1000),
            change("a while yet", 7, available_until=1001),
        ]
    )
    columns.append([removal("gone", 8)])
    mask = columns.offered(8, columns.count, 1000)
    assert [columns.ids[row] for row in np.flatnonzero(mask).tolist()] == [
        "plain",
        "from now",
        "a while yet",
    ]
    rows = np.array([6, 5, 0, 1])
    assert columns.are_offered(rows, 8, 1000).tolist() == [True, False, True, False]
    assert columns.are_offered(rows, 6, 1000).tolist() == [False, False, True, False]
    assert columns.offered(3, 2, 1000).tolist() == [True, False]


def test_rows_that_are_taken_keep_what_they_hold() -> None:
    columns = filled()
    columns.set_interactions("c", DecayedSum(2, 0))
    taken = carried(columns, np.array([2, NO_ROW, 3]))
    assert list(taken.ids) == ["c", "", "a"]
    assert list(taken.titles) == ["The c", "", "The a, again"]
    assert taken.newest(["c", "", "a", "b"]) == [0, NO_ROW, 2, NO_ROW]
    assert (taken.count, taken.live_count) == (3, 2)
    assert seen(taken, 5) == ["a", "c"]
    assert taken.offered(5, 3, 0).tolist() == [True, False, True]
    assert taken.mass(np.array([0, 2])).tolist() == [9, 1.5]
    red = Filter((Condition("colour", Equals(Kind.TEXT, "red")),))
    assert matching(taken.attributes, red, 3).tolist() == [False, False, True]
    assert taken.append([change("c", 9), change("d", 10)]).tolist() == [3, 4]
    assert seen(taken, 10) == ["a", "c", "d"]
    assert taken.mass(np.array([3])).tolist() == [2]


def test_interactions_of_items_that_are_not_taken_are_remembered() -> None:
    columns = filled()
    columns.set_interactions("b", DecayedSum(5, 0))
    columns.set_interactions("never seen", DecayedSum(6, 0))
    taken = carried(columns, np.array([2, 3]))
    rows = taken.append([change("b", 9), change("never seen", 10), change("c", 11)])
    assert taken.mass(rows).tolist() == [5, 6, 0]


def test_nothing_can_be_taken_from_nothing() -> None:
    taken = carried(Columns(), np.array([NO_ROW, NO_ROW]))
    assert (list(taken.ids), taken.newest([""]), taken.live_count) == (["", ""], [NO_ROW], 0)
    assert not taken.visible(100, 2).any()
    assert carried(Columns(), np.empty(0, np.int64)).count == 0


@pytest.mark.parametrize("seed", range(5))
def test_any_history_looks_as_a_plain_dictionary_does(seed: int) -> None:
    random = np.random.default_rng(seed)
    columns, expected, history = Columns(), dict[str, float](), list[dict[str, float]]()
    history.append({})
    for revision in range(1, 400):
        item_id = str(random.integers(30))
        if random.random() < 0.3:
            columns.append([removal(item_id, revision)])
            expected.pop(item_id, None)
        else:
            columns.append([change(item_id, revision, prior=float(revision))])
            expected[item_id] = float(revision)
        history.append(dict(expected))
        if random.random() < 0.02:
            live = np.flatnonzero(columns.died == DIED_NEVER)
            columns = carried(columns, random.permutation(live))
            history = [{} for _ in history[:-1]] + history[-1:]
    assert columns.live_count == len(expected)
    for revision, items in enumerate(history):
        if items:
            rows = np.flatnonzero(columns.visible(revision, columns.count))
            masses = columns.mass(rows).tolist()
            assert (
                dict(zip([columns.ids[row] for row in rows.tolist()], masses, strict=True)) == items
            )
            assert set(columns.rows_at(items, revision).tolist()) == set(rows.tolist())
