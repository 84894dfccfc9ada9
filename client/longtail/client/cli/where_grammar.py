"""Reads a test of an attribute as the command line writes it.

    test  = ["!"] name operator value          operator: = != >= <= > <
          | ["!"] name "in" value {"," value}
          | ["!"] name "exists"
    name  = characters other than blanks, quotes and = ! < >, or a JSON string in quotes
    value = true | false | number | date or time of RFC 3339 | other text | JSON string in quotes

"!" in front turns a test into its opposite, and `a!=1` is `!a=1`: both let items pass that lack the
attribute. Quotes make anything text: `year="1999"` is not `year=1999`.
"""

import json
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from longtail.client.calls.filters import Attribute, Bound, Value, filter_of, where
from longtail.client.importing.literals import literal
from longtail.v1.filter_pb2 import Condition, Filter

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_TEST = re.compile(
    rf"""\s* (?P<not>!)? \s* (?P<name>{_QUOTED}|[^\s"=!<>]+)
    (?: \s* (?P<operator>!=|>=|<=|=|<|>) (?P<value>.*)
      | \s+ in \s (?P<values>.*)
      | \s+ exists \s* )""",
    re.VERBOSE | re.DOTALL,
)
_LISTED = re.compile(rf"\s*(?P<value>{_QUOTED}|[^,\"]*)\s*(?:,|$)")

_BOUNDS: dict[str, Callable[[Attribute, Bound], Condition]] = {
    ">=": lambda attribute, bound: attribute.between(at_least=bound),
    "<=": lambda attribute, bound: attribute.between(at_most=bound),
    ">": lambda attribute, bound: attribute.between(more_than=bound),
    "<": lambda attribute, bound: attribute.between(less_than=bound),
}


@dataclass(frozen=True)
class Requirement:
    """A condition, and whether it must not hold."""

    condition: Condition
    negated: bool


def read_requirement(text: str) -> Requirement:
    """Return the requirement that a text is; ValueError says what is wrong with it."""
    match = _TEST.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text!r} is none of NAME=VALUE, != >= <= > <, NAME in A,B and NAME exists; "
            "a name with blanks goes in double quotes"
        )
    name = match["name"]
    attribute = where(json.loads(name) if name.startswith('"') else name)
    negated = match["not"] is not None
    try:
        if match["operator"] is not None:
            condition = _comparison(attribute, match["operator"], match["value"].strip())
            negated ^= match["operator"] == "!="
        elif match["values"] is not None:
            condition = attribute.one_of(*_values(match["values"]))
        else:
            condition = attribute.exists()
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from error
    return Requirement(condition, negated)


def filter_from(tests: Iterable[Requirement]) -> Filter:
    """Return the filter that lets through what passes every test."""
    tests = list(tests)
    return filter_of(
        all_of=[test.condition for test in tests if not test.negated],
        none_of=[test.condition for test in tests if test.negated],
    )


def _comparison(attribute: Attribute, operator: str, text: str) -> Condition:
    value = _value(text)
    if operator not in _BOUNDS:
        return attribute.equals(value)
    if isinstance(value, str):
        # What is no number as a column has them may be one where only numbers are: 1e6.
        with suppress(ValueError):
            value = float(text)
    if isinstance(value, str | bool):
        raise ValueError(f"{operator} compares numbers or times")
    return _BOUNDS[operator](attribute, value)


def _values(text: str) -> list[Value]:
    """Return the values of a list, which have one type: all are text where one of them is."""
    written: list[str] = []
    position = 0
    while position < len(text):
        match = _LISTED.match(text, position)
        if match is None:
            raise ValueError("values are divided by commas; one with a comma goes in double quotes")
        written.append(match["value"].strip())
        position = match.end()
    if not written or text.rstrip().endswith(","):
        raise ValueError("a value is missing")
    values = [_value(each) for each in written]
    if any(isinstance(value, str) for value in values):
        # As an import reads a column.
        return [
            value if isinstance(value, str) else each
            for each, value in zip(written, values, strict=True)
        ]
    return values


def _value(text: str) -> str | bool | float | datetime:
    if not text:
        raise ValueError('a value is missing; "" is the empty text')
    return literal(text)
