import threading
from collections.abc import Mapping

import numpy as np
import pytest
from longtail.server.catalogue.columns.columns import NO_ROW
from longtail.server.catalogue.columns.expected import ExpectedColumn

from tests.unit.server.catalogue.columns.carried import carried
from tests.unit.server.catalogue.columns.items import Counting, change, filled

EXPECTED = {"a": 0.5, "b": 2.0, "late": 3.0}


def of(column: ExpectedColumn, expected: Mapping[str, float], *rows: int) -> list[float]:
    found: list[float] = column.of(expected, np.array(rows, np.int64)).tolist()
    return found


def test_each_row_has_the_exposure_of_its_item() -> None:
    columns = filled("a", "new", "b")
    column = ExpectedColumn(columns)
    assert of(column, EXPECTED, 2, 0, 1, 2) == [2, 0.5, 0, 2]
    assert of(column, EXPECTED) == []
    columns.append([change("late", 7), change("a", 8)])
    assert of(column, EXPECTED, 4, 3, 0) == [0.5, 3, 0.5]


def test_without_expectations_none_was_shown() -> None:
    column = ExpectedColumn(filled("a", "b"))
    assert of(column, {}, 1, 0) == [0, 0]
    assert of(column, EXPECTED, 1, 0) == [2, 0.5]
    assert of(column, {}, 1, 0) == [0, 0]


def test_other_expectations_take_their_place() -> None:
    column = ExpectedColumn(filled("a", "b"))
    assert of(column, EXPECTED, 0, 1) == [0.5, 2]
    assert of(column, {"b": 7.0}, 0, 1) == [0, 7]
    assert of(column, EXPECTED, 0, 1) == [0.5, 2]


def test_each_row_is_looked_up_once() -> None:
    columns, expected = filled("a", "b", "c"), Counting(EXPECTED)
    column = ExpectedColumn(columns)
    for _ in range(3):
        of(column, expected, 0, 1)
    assert expected.asked == 3
    columns.append([change("late", 9)])
    rows = np.array([3, NO_ROW, 1])
    taken = carried(columns, rows)
    kept = column.take(rows, taken)
    assert expected.asked == 4
    assert of(kept, expected, 0, 1, 2) == [3, 0, 2]
    assert expected.asked == 4
    taken.append([change("a", 12)])
    assert of(kept, expected, 3) == [0.5]


def test_what_was_never_asked_for_is_taken_too() -> None:
    columns = filled("a", "b")
    rows = np.array([1, 0])
    assert of(ExpectedColumn(columns).take(rows, carried(columns, rows)), EXPECTED, 0, 1) == [
        2,
        0.5,
    ]


@pytest.mark.parametrize("readers", [4])
def test_readers_and_new_items_go_together(readers: int) -> None:
    columns = filled(*(f"i{number}" for number in range(20)))
    expected = {f"i{number}": float(number) for number in range(400)}
    column = ExpectedColumn(columns)
    wrong: list[float] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            rows = np.arange(columns.count)
            wrong.extend((column.of(expected, rows) - rows).nonzero()[0].tolist())

    threads = [threading.Thread(target=read) for _ in range(readers)]
    for thread in threads:
        thread.start()
    for number in range(20, 400):
        columns.append([change(f"i{number}", 100 + number)])
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []
