import itertools
from typing import Any

import numpy as np
import pytest
from longtail.server.catalogue.columns.attributes import AttributeColumns
from longtail.server.catalogue.columns.values import values_of


def held(mappings: list[dict[str, Any]], rows: list[int], path: str = "a") -> list[set[int]]:
    columns = AttributeColumns()
    columns.append(mappings)
    offsets, values = values_of(columns, path, np.array(rows, np.int64))
    assert (offsets[0], offsets[-1], len(offsets)) == (0, len(values), len(rows) + 1)
    sets = [set(values[start:end].tolist()) for start, end in itertools.pairwise(offsets)]
    assert sum(map(len, sets)) == len(values)
    assert values.min(initial=0) >= 0
    return sets


def test_equal_values_have_equal_numbers() -> None:
    mappings = [{"a": "x"}, {"a": "y"}, {"a": "x"}, {"b": "x"}, {}]
    first, second, third, other, none = held(mappings, [0, 1, 2, 3, 4])
    assert first == third != second
    assert other == none == set()


def test_a_list_has_each_of_its_elements_once() -> None:
    [both, one, nothing] = held([{"a": ["x", "y", "x"]}, {"a": "y"}, {"a": []}], [0, 1, 2])
    assert len(both) == 2
    assert one < both
    assert nothing == set()


def test_types_stay_apart() -> None:
    sets = held([{"a": 1}, {"a": True}, {"a": "1"}, {"a": 1.0}, {"a": False}], [0, 1, 2, 3, 4])
    assert sets[0] == sets[3]
    assert len(set(map(frozenset, sets))) == 4


def test_rows_may_come_in_any_order_and_again() -> None:
    sets = held([{"a": "x"}, {"a": ["y", "z"]}, {"a": "z"}], [2, 0, 1, 2])
    assert sets[0] == sets[3] < sets[2]
    assert not sets[1] & sets[2]


def test_a_path_leads_inside() -> None:
    sets = held([{"a": {"b": 1}}, {"a": [{"b": 1}, {"b": 2}]}], [0, 1], "a.b")
    assert sets[0] < sets[1]


@pytest.mark.parametrize("path", ["never", "a"])
def test_what_has_no_values(path: str) -> None:
    assert held([{"a": {}}, {"b": 1}], [0, 1], path) == [set(), set()]


def test_texts_too_long_to_be_compared_are_left_out() -> None:
    assert held([{"a": "x" * 2000}, {"a": "y" * 2000}], [0, 1]) == [set(), set()]


def test_no_rows() -> None:
    assert held([{"a": 1}], []) == []


def test_it_is_what_a_dictionary_says() -> None:
    random = np.random.default_rng(4)
    mappings = [
        {"a": [int(value) for value in random.integers(0, 5, random.integers(0, 4))]}
        for _ in range(100)
    ]
    rows = random.permutation(100)[:60].tolist()
    sets = held(mappings, rows)
    numbers: dict[int, int] = {}
    for found, row in zip(sets, rows, strict=True):
        wanted = sorted(set(mappings[row]["a"]))
        assert len(found) == len(wanted)
        for value, number in zip(wanted, sorted(found), strict=True):
            assert numbers.setdefault(value, number) == number
