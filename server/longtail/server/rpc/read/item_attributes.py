"""From an item's attributes as they are sent, a `google.protobuf.Struct`, to a JSON object."""

import math
from typing import Any

from google.protobuf import struct_pb2
from longtail.runtime.errors import InvalidArgument, Violation
from longtail.server.store.json_object import encode_object

MAX_ATTRIBUTES_BYTES = 16 * 1024
# A Struct within an Item can be parsed up to 33 levels deep. An answer holds the item in more
# messages than the write did, and every client has to be able to parse it.
MAX_ATTRIBUTES_DEPTH = 30
# The next integers have to share their doubles (RFC 7493, section 2.2).
MAX_INTEGER = 2**53 - 1


def attributes_object(struct: struct_pb2.Struct) -> dict[str, Any]:
    """Return the JSON object that `struct` stands for, whole numbers as int.

    Otherwise what protobuf's json_format makes, which does not say where something is wrong. Raises
    InvalidArgument with the path of what JSON does not know, as `attributes.sizes[2]`, or when the
    whole is over 16 KiB as JSON or 30 levels deep.
    """
    try:
        attributes = _object(struct, MAX_ATTRIBUTES_DEPTH)
    except _WrongValueError as wrong:
        raise InvalidArgument(Violation("attributes" + wrong.path(), wrong.problem)) from None
    if attributes and len(encode_object(attributes).encode()) > MAX_ATTRIBUTES_BYTES:
        raise InvalidArgument(
            Violation("attributes", f"is over {MAX_ATTRIBUTES_BYTES} bytes as JSON")
        )
    return attributes


class _WrongValueError(Exception):
    """A value that cannot be kept; `steps` lead to it, the last one first.

    They are told on the way out: a path for every value would cost more than all values.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.steps: list[str] = []

    def path(self) -> str:
        return "".join(reversed(self.steps))


def _object(struct: struct_pb2.Struct, levels: int) -> dict[str, Any]:
    result = {}
    for name, value in struct.fields.items():
        if "\0" in name:
            raise _WrongValueError("has a name that holds a NUL character")
        try:
            result[name] = _value(value, levels)
        except _WrongValueError as wrong:
            wrong.steps.append(f".{name}")
            raise
    return result


def _list(values: struct_pb2.ListValue, levels: int) -> list[Any]:
    result = []
    for value in values.values:
        try:
            result.append(_value(value, levels))
        except _WrongValueError as wrong:
            wrong.steps.append(f"[{len(result)}]")
            raise
    return result


def _value(value: struct_pb2.Value, levels: int) -> Any:  # noqa: ANN401 (JSON)
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return value.string_value
    if kind == "number_value":
        number = value.number_value
        if not math.isfinite(number):
            raise _WrongValueError(f"is {number}, which JSON does not know")
        whole = abs(number) <= MAX_INTEGER and number.is_integer()
        return int(number) if whole else number
    if kind == "bool_value":
        return value.bool_value
    if kind is None or kind == "null_value":
        return None
    if levels <= 1:
        raise _WrongValueError(f"is over {MAX_ATTRIBUTES_DEPTH} levels deep")
    if kind == "struct_value":
        return _object(value.struct_value, levels - 1)
    return _list(value.list_value, levels - 1)
