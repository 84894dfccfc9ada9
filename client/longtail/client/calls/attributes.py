"""Attributes as Python has them: JSON has one type of number, a double, where Python has two.

So a whole number is an int wherever it is read, and one with more digits than a double keeps is not
rounded on its way in.
"""

from collections.abc import Mapping
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from longtail.v1.item_pb2 import Item

# The next integers have to share their doubles (RFC 7493, section 2.2).
MAX_INTEGER = 2**53 - 1


def attributes(values: Mapping[str, Any]) -> Struct:
    """Return JSON values as the attributes of an item.

    ValueError when a value is not of JSON, or an integer is beyond 2^53 - 1: give it as text.
    """
    struct = Struct()
    for name, value in values.items():
        try:
            struct[name] = _exact(value)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    return struct


def attributes_of(item: Item) -> dict[str, Any]:
    """Return the attributes of an item as JSON values, whole numbers as int."""
    return {name: whole_numbers(value) for name, value in MessageToDict(item.attributes).items()}


def whole_numbers(value: Any) -> Any:  # noqa: ANN401 (JSON)
    """Return a JSON value with every number that is whole, and surely so, as int."""
    if isinstance(value, float):
        return int(value) if abs(value) <= MAX_INTEGER and value.is_integer() else value
    if isinstance(value, dict):
        return {name: whole_numbers(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [whole_numbers(element) for element in value]
    return value


def _exact(value: Any) -> Any:  # noqa: ANN401 (JSON)
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise ValueError(f"{value} has more digits than a number keeps; give it as text")
    if isinstance(value, Mapping):
        return {name: _exact(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_exact(element) for element in value]
    return value
