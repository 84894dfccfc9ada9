"""Builds the filter of a recommendation: which items may be in the list, by their attributes.

filter_of(
    all_of=[where("year").between(at_least=1990, less_than=2000), where("tags").one_of("noir")],
    none_of=[where("premium").equals(True)],
)
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from longtail.client.calls.attributes import MAX_INTEGER
from longtail.v1.filter_pb2 import Condition, Filter, Operand, OperandList, Range

Value = str | bool | int | float | datetime
Bound = int | float | datetime


@dataclass(frozen=True)
class Attribute:
    """An attribute to be tested. Of a list, one element that passes is enough.

    Values are compared with attributes of their own type: text with text, numbers with numbers. A
    datetime, UTC when it has no zone, is compared with text such as "2026-11-24T10:00:00Z" or
    "2026-11-24". An item that lacks the attribute fails every test but `missing`.
    """

    name: str

    def equals(self, value: Value) -> Condition:
        """Test that the attribute is `value`; ValueError for an integer beyond 2^53 - 1."""
        return Condition(field=self.name, equals=_operand(value))

    def one_of(self, *values: Value) -> Condition:
        """Test that the attribute is one of 1 to 1,000 values of one type; ValueError otherwise."""
        operands = OperandList(values=map(_operand, values))
        if len({operand.WhichOneof("kind") for operand in operands.values}) != 1:
            raise ValueError("the values must be one or more, all of one type")
        condition = Condition(field=self.name)
        # `in` is a keyword, so the field cannot be named in Python.
        getattr(condition, "in").CopyFrom(operands)
        return condition

    def between(
        self,
        *,
        at_least: Bound | None = None,
        more_than: Bound | None = None,
        at_most: Bound | None = None,
        less_than: Bound | None = None,
    ) -> Condition:
        """Test that the attribute lies within the given bounds, all numbers or all datetimes.

        ValueError when there is no bound, or one is of neither type or not of the others' type.
        """
        given = {
            "at_least": at_least,
            "more_than": more_than,
            "at_most": at_most,
            "less_than": less_than,
        }
        bounds = {name: _operand(bound) for name, bound in given.items() if bound is not None}
        kinds = {bound.WhichOneof("kind") for bound in bounds.values()}
        if kinds not in ({"number"}, {"time"}):
            raise ValueError("the bounds must be one or more, all numbers or all datetimes")
        return Condition(field=self.name, range=Range(**bounds))

    def exists(self) -> Condition:
        """Test that the item has the attribute; null does not count as having it."""
        return Condition(field=self.name, exists=True)

    def missing(self) -> Condition:
        """Test that the item does not have the attribute, or has it as null."""
        return Condition(field=self.name, exists=False)


def where(name: str) -> Attribute:
    """Return the attribute of that name, to be tested; "a.b" is b inside the object a."""
    return Attribute(name)


def filter_of(
    *,
    all_of: Iterable[Condition] = (),
    any_of: Iterable[Condition] = (),
    none_of: Iterable[Condition] = (),
) -> Filter:
    """Return a filter: all of `all_of`, one of `any_of` if there are any, and none of `none_of`."""
    return Filter(all_of=all_of, any_of=any_of, none_of=none_of)


def _operand(value: Value) -> Operand:
    # A bool is an int too.
    if isinstance(value, bool):
        return Operand(flag=value)
    if isinstance(value, str):
        return Operand(text=value)
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise ValueError(f"{value} has more digits than a number keeps; compare it as text")
    if isinstance(value, int | float):
        return Operand(number=value)
    if isinstance(value, datetime):
        timestamp = Timestamp()
        timestamp.FromDatetime(value if value.tzinfo else value.replace(tzinfo=UTC))
        return Operand(time=timestamp)
    raise TypeError(f"a filter compares str, bool, int, float and datetime, not {type(value)}")
