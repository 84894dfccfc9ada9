from typing import Any

import numpy as np
import pytest
from longtail.server.catalogue.columns.attributes import MOST_GONE, AttributeColumns
from longtail.server.catalogue.columns.filter import (
    Condition,
    Equals,
    Exists,
    Filter,
    FilterTypeError,
    Kind,
    Test,
)
from longtail.server.catalogue.columns.matching import matching

from tests.unit.server.catalogue.columns.carried import carried_attributes


def columns_of(*mappings: dict[str, Any]) -> AttributeColumns:
    columns = AttributeColumns()
    columns.append(mappings)
    return columns


def rows(columns: AttributeColumns, count: int, field: str, test: Test) -> list[int]:
    mask = matching(columns, Filter((Condition(field, test),)), count)
    return np.flatnonzero(mask).tolist()


@pytest.mark.parametrize(
    ("attributes", "field", "test"),
    [
        ({"a": "x"}, "a", Equals(Kind.TEXT, "x")),
        ({"a": 1}, "a", Equals(Kind.NUMBER, 1.0)),
        ({"a": 1.5}, "a", Equals(Kind.NUMBER, 1.5)),
        ({"a": False}, "a", Equals(Kind.FLAG, False)),
        ({"a": ["y", "x"]}, "a", Equals(Kind.TEXT, "x")),
        ({"a": ["y", 2, True]}, "a", Equals(Kind.NUMBER, 2.0)),
        ({"a": [["y"], ["x"]]}, "a", Equals(Kind.TEXT, "x")),
        ({"a": {"b": {"c": "x"}}}, "a.b.c", Equals(Kind.TEXT, "x")),
        ({"a": [{"b": 1}, {"b": 2}]}, "a.b", Equals(Kind.NUMBER, 2.0)),
        ({"a.b": "x"}, "a.b", Equals(Kind.TEXT, "x")),
        ({"a": {"b": None}}, "a", Exists(True)),
        ({"a": [{"b": 1}]}, "a", Exists(True)),
        ({"a": []}, "a", Exists(True)),
        ({"a": {}}, "a", Exists(True)),
        ({"a": {"b": None}}, "a.b", Exists(False)),
        ({"a": None}, "a", Exists(False)),
        ({"a": "x" * 1001}, "a", Exists(True)),
        ({"a" * 256: 1}, "a" * 256, Exists(True)),
    ],
)
def test_every_shape_of_json_can_be_asked_for(
    attributes: dict[str, Any], field: str, test: Test
) -> None:
    assert rows(columns_of(attributes), 1, field, test) == [0]


def test_truth_values_are_no_numbers_and_texts_are_compared_exactly() -> None:
    columns = columns_of({"a": 1}, {"a": True}, {"a": "1"}, {"a": "É"}, {"a": "é"})
    assert rows(columns, 5, "a", Equals(Kind.NUMBER, 1.0)) == [0]
    assert rows(columns, 5, "a", Equals(Kind.FLAG, True)) == [1]
    assert rows(columns, 5, "a", Equals(Kind.TEXT, "1")) == [2]
    assert rows(columns, 5, "a", Equals(Kind.TEXT, "é")) == [4]


def test_a_text_too_long_to_be_asked_for_equals_nothing() -> None:
    columns = columns_of({"a": "x" * 1001}, {"a": "y"}, {"a": "x" * 1000})
    assert rows(columns, 3, "a", Equals(Kind.TEXT, "x" * 1001)) == []
    assert rows(columns, 3, "a", Equals(Kind.TEXT, "x" * 1000)) == [2]


def test_rows_behind_the_count_are_not_looked_at() -> None:
    columns = columns_of({"a": "x"}, {"a": "x"})
    columns.append([{"a": ["x", "x"]}, {"a": "x"}])
    assert rows(columns, 3, "a", Equals(Kind.TEXT, "x")) == [0, 1, 2]
    assert rows(columns, 1, "a", Equals(Kind.TEXT, "x")) == [0]


def test_rows_can_be_taken_in_any_order_and_left_out() -> None:
    columns = columns_of(
        {"a": "x", "b": [1, 2], "c": {"d": True}},
        {"a": "gone", "only here": 1},
        {"a": ["y", "x"], "b": 3, "e": []},
    )
    taken = carried_attributes(columns, np.array([2, -1, 0]))
    assert rows(taken, 3, "a", Equals(Kind.TEXT, "x")) == [0, 2]
    assert rows(taken, 3, "a", Equals(Kind.TEXT, "y")) == [0]
    assert rows(taken, 3, "a", Equals(Kind.TEXT, "gone")) == []
    assert rows(taken, 3, "b", Equals(Kind.NUMBER, 2.0)) == [2]
    assert rows(taken, 3, "c.d", Equals(Kind.FLAG, True)) == [2]
    assert rows(taken, 3, "e", Exists(True)) == [0]
    assert taken.field("only here") is None
    taken.append([{"a": "gone"}, {"a": "x"}])
    assert rows(taken, 5, "a", Equals(Kind.TEXT, "gone")) == [3]
    assert rows(taken, 5, "a", Equals(Kind.TEXT, "x")) == [0, 2, 4]


def test_texts_that_no_row_has_any_more_are_let_go() -> None:
    columns = columns_of(*({"a": str(number)} for number in range(100)))
    field = carried_attributes(columns, np.arange(10)).field("a")
    assert field is not None
    assert field.texts is not None
    assert field.texts.size == 11


def test_times_stay_times_in_rows_that_are_taken_and_go_with_the_last_of_them() -> None:
    columns = columns_of({"a": "soon"}, {"a": "1970-01-01"}, {"a": "1970-01-02"}, {"a": "late"})
    day = Equals(Kind.TIME, 24 * 3600 * 1_000_000)
    taken = carried_attributes(columns, np.array([3, 2]))
    assert rows(taken, 2, "a", day) == [1]
    taken.append([{"a": "later"}, {"a": "1970-01-02T00:00:00Z"}])
    assert rows(taken, 4, "a", day) == [1, 3]
    with pytest.raises(FilterTypeError):
        rows(carried_attributes(columns, np.array([0, 3])), 2, "a", day)


def test_attributes_that_no_item_has_any_more_are_let_go_of() -> None:
    columns, most = AttributeColumns(), 0
    live = np.zeros(0, np.bool_)
    for number in range(60):
        # One item that is written again and again, with other names each time, and one that stays.
        columns.append([{"kept": number} if number == 7 else dict.fromkeys(names(number), "x")])
        live = np.append(live, False)
        live[7:8] = True
        live[-1] = True
        if columns.is_crowded:
            columns.forget(live)
        live[-1] = number == 7
        most = max(most, len(columns._fields))
    assert most <= MOST_GONE + 200
    assert columns.field("59-0") is not None
    assert columns.field("3-0") is None
    assert rows(columns, 60, "kept", Equals(Kind.NUMBER, 7.0)) == [7]
    # A name that comes back is a new attribute.
    columns.append([{"3-0": "again"}])
    assert rows(columns, 61, "3-0", Equals(Kind.TEXT, "again")) == [60]
    _, keys, values = columns.values(np.array([60]))
    assert columns.pair(int(keys[0]), int(values[0])) == "3-0=again"
    # Whoever reads an old version is not led astray.
    _, keys, values = columns.values(np.array([3]))
    assert len(keys) == 100
    assert not any(
        "again" in columns.pair(int(k), int(v)) for k, v in zip(keys, values, strict=True)
    )


def names(number: int) -> list[str]:
    return [f"{number}-{at}" for at in range(100)]
