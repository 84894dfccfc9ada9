"""Which attributes of a request no item has, and which are named as the ones that may be meant."""

import numpy as np
import pytest
from longtail.server.catalogue.columns.attributes import AttributeColumns
from longtail.server.catalogue.columns.filter import Condition, Equals, Exists, Kind, Range, Test
from longtail.server.catalogue.columns.missing import (
    MAX_NAME,
    NEWEST,
    TOLD,
    WITH_NEAREST,
    MissingAttribute,
    missing_attributes,
)
from longtail.server.catalogue.columns.postings import Ints, Mask

CATALOGUE: list[dict[str, object]] = [
    {"Genres": ["crime"], "year": 1999, "new": True, "price": {"amount": 3}, "sold": "2026-11-24"},
    {"year": "unknown", "colour": "red"},
    {"colour": "blue", "old_name": "x"},
]
ANY = Exists(True)
NEVER = Exists(False)


def missing(*conditions: Condition, current: tuple[int, ...] = (0, 1, 2)) -> list[tuple[str, str]]:
    columns = AttributeColumns()
    columns.append(CATALOGUE)

    def are_current(rows: Ints) -> Mask:
        return np.isin(rows, current)

    found = missing_attributes(columns, conditions, are_current)
    assert all(isinstance(each, MissingAttribute) for each in found)
    return [(each.path, each.nearest) for each in found]


def test_what_items_have_is_not_missing() -> None:
    held = ["Genres", "year", "new", "price", "price.amount", "sold", "colour"]
    assert missing(*(Condition(each, ANY) for each in held)) == []
    assert missing() == []


@pytest.mark.parametrize(
    ("named", "nearest"),
    [
        ("genre", "Genres"),
        ("GENRES", "Genres"),
        ("yaer", "year"),
        ("attributes.colour", "colour"),
        ("price.amuont", "price.amount"),
        ("zip", ""),
        ("g" * 300, ""),
    ],
)
def test_the_nearest_name_is_told(named: str, nearest: str) -> None:
    assert missing(Condition(named, ANY), Condition(named, NEVER)) == [(named, nearest)]


@pytest.mark.parametrize(
    ("test", "is_missing"),
    [
        (Equals(Kind.NUMBER, 1999.0), True),
        (Range(Kind.NUMBER, at_least=3.0), True),
        (Equals(Kind.TEXT, "unknown"), False),
        (Equals(Kind.FLAG, True), True),
        (ANY, False),
    ],
)
def test_values_that_only_former_versions_had_are_missing(test: Test, is_missing: bool) -> None:
    found = missing(Condition("year", test), current=(1, 2))
    assert found == ([("year", "")] if is_missing else [])


def test_an_attribute_that_no_item_has_any_more_is_missing_and_never_the_nearest() -> None:
    assert missing(Condition("old_name", ANY), current=(0, 1)) == [("old_name", "")]
    assert missing(Condition("old_names", ANY), current=(0, 1)) == [("old_names", "")]


def test_a_row_that_is_current_is_found_behind_many_that_are_not() -> None:
    columns = AttributeColumns()
    columns.append([{"a": "x"}] * (3 * NEWEST))
    wanted = [Condition("a", ANY)]
    assert missing_attributes(columns, wanted, lambda rows: rows == 1) == []
    assert missing_attributes(columns, wanted, lambda rows: rows < 0) == [MissingAttribute("a", "")]


def test_of_many_few_have_a_nearest_name_and_the_rest_is_left_out() -> None:
    long = "colour" * MAX_NAME
    found = missing(
        *(Condition(f"colour{n}", ANY) for n in range(WITH_NEAREST // 2)),
        Condition(long, ANY),
        *(Condition(f"colours{n}", ANY) for n in range(TOLD)),
    )
    assert len(found) == TOLD
    assert found[WITH_NEAREST // 2] == (long, "")
    nearest = [near for _, near in found if near]
    assert nearest == ["colour"] * WITH_NEAREST


def test_a_name_as_long_as_can_be_compared_is() -> None:
    columns = AttributeColumns()
    columns.append([{"n" * MAX_NAME: 1}])
    wanted = [Condition("n" * (MAX_NAME - 1) + end, ANY) for end in ("m", "mm")]
    found = missing_attributes(columns, wanted, lambda rows: rows == 0)
    assert [each.nearest for each in found] == ["n" * MAX_NAME, ""]
