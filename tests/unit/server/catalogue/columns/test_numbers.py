from collections.abc import Mapping

import numpy as np
from longtail.server.catalogue.columns.numbers import NO_NUMBER, NumberColumn

from tests.unit.server.catalogue.columns.items import Counting, change, filled


def of(column: NumberColumn, number_of: Mapping[str, int], *rows: int) -> list[int]:
    found: list[int] = column.of(number_of, np.array(rows, np.int64)).tolist()
    return found


def test_each_row_has_the_number_of_its_item() -> None:
    columns = filled("a", "nobody", "b")
    column = NumberColumn(columns)
    known = {"a": 7, "b": 0}
    assert of(column, known, 2, 0, 1, 2) == [0, 7, NO_NUMBER, 0]
    assert of(column, known) == []
    columns.append([change("c", 7), change("a", 8)])
    known["c"] = 9
    assert of(column, known, 4, 3, 0) == [7, 9, 7]


def test_a_number_that_comes_later_is_found() -> None:
    column, known = NumberColumn(filled("a", "b")), dict[str, int]()
    assert of(column, known, 0, 1) == [NO_NUMBER, NO_NUMBER]
    known["other"] = 0
    assert of(column, known, 0, 1) == [NO_NUMBER, NO_NUMBER]
    known["b"] = 1
    assert of(column, known, 0, 1) == [NO_NUMBER, 1]


def test_other_numbers_take_their_place() -> None:
    column = NumberColumn(filled("a", "b"))
    assert of(column, {"a": 1, "b": 2}, 0, 1) == [1, 2]
    assert of(column, {"b": 1}, 0, 1) == [NO_NUMBER, 1]


def test_each_row_is_looked_up_once_while_no_number_comes() -> None:
    held = {"a": 0, "c": 1}
    column, known = NumberColumn(filled("a", "b", "c")), Counting(held)
    assert of(column, known, 0, 1, 2) == [0, NO_NUMBER, 1]
    assert of(column, known, 0, 1, 2) == [0, NO_NUMBER, 1]
    assert known.asked == 3
    held["d"] = 2
    assert of(column, known, 0, 1, 2) == [0, NO_NUMBER, 1]
    assert known.asked == 4
