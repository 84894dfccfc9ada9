"""Tests of attributes, as the command line writes them."""

from datetime import UTC, datetime

import pytest
from longtail.client import filter_of, where
from longtail.client.cli.where_grammar import filter_from, read_requirement
from longtail.v1.filter_pb2 import Condition

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("genre=Drama", where("genre").equals("Drama")),
        ("a.b = two words ", where("a.b").equals("two words")),
        ("premium=true", where("premium").equals(True)),
        ("year=1999", where("year").equals(1999)),
        ('year="1999"', where("year").equals("1999")),
        ("code=007", where("code").equals("007")),
        ("id=9007199254740991", where("id").equals(2**53 - 1)),
        ("id=9007199254740993", where("id").equals("9007199254740993")),
        # As an import reads a column of such.
        ("sku=12e3", where("sku").equals("12e3")),
        ("price=3.50", where("price").equals(3.5)),
        ("new=TRUE", where("new").equals(True)),
        ("made=2026-01-01", where("made").equals(NEW_YEAR)),
        ("year>=1990", where("year").between(at_least=1990)),
        ("year<=1990", where("year").between(at_most=1990)),
        ("year>1.5e3", where("year").between(more_than=1500)),
        ("made<2026-01-01T01:00:00+01:00", where("made").between(less_than=NEW_YEAR)),
        ("zip in 01234,90210", where("zip").one_of("01234", "90210")),
        ("tags in action, comedy", where("tags").one_of("action", "comedy")),
        ('tags in "a, b", c', where("tags").one_of("a, b", "c")),
        ("year exists", where("year").exists()),
        ('"two words"="x=1"', where("two words").equals("x=1")),
    ],
)
def test_the_command_line_says_what_python_says(text: str, condition: Condition) -> None:
    assert filter_from([read_requirement(text)]) == filter_of(all_of=[condition])
    assert filter_from([read_requirement(f"!{text}")]) == filter_of(none_of=[condition])


def test_not_equal_is_the_opposite_of_equal() -> None:
    assert filter_from([read_requirement("a!=1")]) == filter_from([read_requirement("!a=1")])
    assert filter_from([read_requirement("!a!=1")]) == filter_from([read_requirement("a=1")])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("genre", "NAME=VALUE"),
        ("two words=1", "double quotes"),
        ("year=", "a value is missing"),
        ("year>tall", "numbers or times"),
        ("year>true", "numbers or times"),
        ("tags in 1,true", "of one type"),
        ("tags in a,", "a value is missing"),
        ('tags in "a" b', "commas"),
        ('a="open', "no JSON string"),
    ],
)
def test_a_test_that_cannot_be_read_says_why(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read_requirement(text)
    assert repr(text) in str(caught.value)
