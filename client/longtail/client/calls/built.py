"""Builds a message from arguments, and says which of them is of no use."""

from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

M = TypeVar("M", bound=Message)

_KINDS = {
    FieldDescriptor.CPPTYPE_STRING: "str",
    FieldDescriptor.CPPTYPE_BOOL: "bool",
    FieldDescriptor.CPPTYPE_DOUBLE: "float",
    FieldDescriptor.CPPTYPE_MESSAGE: "message",
}


def built(message: type[M], **fields: Any) -> M:  # noqa: ANN401 (of any field)
    """Return a message with these fields; TypeError or ValueError that names the wrong one."""
    try:
        return message(**fields)
    except (TypeError, ValueError):
        for name, value in fields.items():
            try:
                message(**{name: value})
            except (TypeError, ValueError) as error:
                kind = _KINDS.get(message.DESCRIPTOR.fields_by_name[name].cpp_type, "int")
                raise type(error)(f"{name}: {value!r} is no {kind} of use: {error}") from None
        raise
