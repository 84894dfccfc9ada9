import math
import threading

import numpy as np
import pytest

from server.columns import columns as module
from server.columns.columns import NO_ROW, Columns
from server.store.records import ItemChange, State


def change(item_id: str, revision: int) -> ItemChange:
    return ItemChange(item_id, revision, False, 0.0, State.ACTIVE, None, None, {}, None)


def filled(*item_ids: str) -> Columns:
    columns = Columns()
    columns.append([change(item_id, at) for at, item_id in enumerate(item_ids, 1)])
    return columns


def exposure(columns: Columns, *item_ids: str) -> list[float]:
    rows = np.array([columns.row_of[item_id] for item_id in item_ids])
    return [float(value) for value in columns.exposure(rows)]


def test_exposure_is_relative_to_the_average_of_all_items() -> None:
    columns = filled("a", "b", "c", "d")
    assert exposure(columns, "a", "b") == [0, 0]
    columns.set_exposure("a", math.log2(6))
    columns.set_exposure("b", math.log2(2))
    assert exposure(columns, "a", "b", "c", "d") == pytest.approx([3, 1, 0, 0])
    columns.set_exposure("a", -math.inf)
    assert exposure(columns, "a", "b") == pytest.approx([0, 4])


def test_what_no_longer_exists_is_not_in_the_average() -> None:
    columns = filled("a", "b", "c")
    columns.set_exposure("a", math.log2(6))
    columns.set_exposure("b", math.log2(2))
    columns.kill("a", 9)
    assert exposure(columns, "b", "c") == pytest.approx([2, 0])


def test_no_level_is_too_high() -> None:
    columns = filled("a", "b")
    columns.set_exposure("a", 1e6)
    columns.set_exposure("b", 1e6 + 1)
    assert exposure(columns, "a", "b") == pytest.approx([2 / 3, 4 / 3])
    columns.set_exposure("b", -1e6)
    assert exposure(columns, "a", "b") == pytest.approx([2, 0])


def test_a_new_version_keeps_what_its_item_was_shown() -> None:
    columns = filled("a", "b")
    columns.set_exposure("a", 3.0)
    columns.append([change("a", 8), change("c", 9), change("a", 10), change("c", 11)])
    assert exposure(columns, "a", "b", "c") == pytest.approx([3, 0, 0])


def test_what_was_shown_before_it_was_held_is_remembered() -> None:
    columns = filled("a")
    columns.set_exposure("late", 5.0)
    assert exposure(columns, "a") == [0]
    columns.append([change("late", 7), change("late", 8)])
    assert exposure(columns, "a", "late") == pytest.approx([0, 2])


def test_exposure_is_taken_over_row_by_row() -> None:
    columns = filled("a", "b", "c")
    columns.set_exposure("a", math.log2(3))
    columns.set_exposure("b", math.log2(1))
    columns.set_exposure("c", math.log2(8))
    columns.set_exposure("elsewhere", 4.0)
    columns.kill("c", 9)
    taken = columns.take(np.array([1, NO_ROW, 0]))
    assert exposure(taken, "a", "b") == pytest.approx([1.5, 0.5])
    assert taken.exposure(np.array([1])).tolist() == [0]
    # What is not taken comes back with its exposure.
    taken.append([change("c", 12), change("elsewhere", 13)])
    assert exposure(taken, "c", "elsewhere", "a") == pytest.approx([8 / 7, 16 / 7, 3 / 7])


def test_many_rows_are_averaged_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AVERAGED_AT_ONCE", 1)
    columns = filled("a", "b")
    columns.set_exposure("a", 0.0)
    assert exposure(columns, "a") == pytest.approx([2])
    columns._mean_exposure._not_before = math.inf
    columns.set_exposure("b", 0.0)
    assert exposure(columns, "a", "b") == pytest.approx([2, 2])
    columns._mean_exposure._not_before = 0.0
    assert exposure(columns, "a", "b") == pytest.approx([1, 1])


def test_readers_see_sound_numbers_while_items_come(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = filled(*(f"i{number}" for number in range(50)))
    wrong: list[float] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            found = columns.exposure(np.arange(columns.count))
            # Fifty levels of 1 and those of the same height that come.
            wrong.extend(value for value in found if not 0 <= value <= 51)

    for number in range(50):
        columns.set_exposure(f"i{number}", 1.0)
    reader = threading.Thread(target=read)
    reader.start()
    for number in range(300):
        columns.append([change(f"new{number}", 100 + number)])
        columns.set_exposure(f"new{number}", 1.0)
    done.set()
    reader.join()
    assert wrong == []
    assert columns.exposure(np.arange(columns.count)) == pytest.approx(np.ones(350))
