"""Attributes, as Python reads and writes them."""

import json
from typing import Any

import pytest
from longtail.client import attributes, attributes_of
from longtail.client.calls.attributes import MAX_INTEGER
from longtail.v1.item_pb2 import Item

LONG = 2**53 + 1


@pytest.mark.parametrize(
    "value",
    [1977, -3, 0, 0.5, MAX_INTEGER, -MAX_INTEGER, 1e300, True, False, None, "1977", "", str(LONG)],
)
def test_a_value_comes_back_as_what_it_was(value: Any) -> None:  # noqa: ANN401
    values = {"alone": value, "listed": [value, [value]], "inside": {"deep": {"er": value}}}
    item = Item.FromString(Item(attributes=attributes(values)).SerializeToString())
    # As JSON, because to Python 1, 1.0 and True are equal.
    assert json.dumps(attributes_of(item), sort_keys=True) == json.dumps(values, sort_keys=True)


def test_a_whole_number_is_an_integer_however_it_was_written() -> None:
    assert json.dumps(attributes_of(Item(attributes=attributes({"a": 4.0})))) == '{"a": 4}'


def test_what_may_have_been_rounded_is_not_told_as_an_integer() -> None:
    item = Item()
    item.attributes["a"] = float(LONG)
    assert json.dumps(attributes_of(item)) == '{"a": 9007199254740992.0}'


@pytest.mark.parametrize(
    "values",
    [{"code": LONG}, {"code": -LONG}, {"code": [1, LONG]}, {"code": {"deep": LONG}}],
)
def test_an_integer_that_would_be_rounded_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"code: .*9007199254740993 .* as text"):
        attributes(values)
