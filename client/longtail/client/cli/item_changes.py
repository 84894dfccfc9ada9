"""Turns `state=hidden`, as the command line writes it, into an item and its changed fields."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from longtail.client.calls.attributes import attributes
from longtail.client.importing import literals
from longtail.client.importing.times import read_time
from longtail.client.importing.values import RowError, state_named
from longtail.v1.item_pb2 import Item

_ATTRIBUTE = "attributes."
_READERS: Mapping[str, Callable[[str], Any]] = {
    "title": str,
    "text": str,
    "popularity_prior": float,
    "state": state_named,
    "available_from": read_time,
    "available_until": read_time,
    "penalty": float,
}


def change(
    item_id: str, assignments: Iterable[str], cleared: Iterable[str]
) -> tuple[Item, list[str]]:
    """Return an item with the assigned values, and the fields that are assigned or cleared.

    ValueError when nothing is, a field is unknown or named twice, or a value is of no use to it.
    """
    item = Item(id=item_id)
    fields = []
    for assignment in assignments:
        field, equals, value = assignment.partition("=")
        if not equals:
            raise ValueError(f"{assignment!r} is no FIELD=VALUE")
        _check(field)
        try:
            _set(item, field, value)
        except RowError as error:
            raise ValueError(f"{field} cannot be {value!r}: {error.detail}") from error
        except ValueError as error:
            raise ValueError(f"{field} cannot be {value!r}") from error
        fields.append(field)
    for field in cleared:
        _check(field)
        fields.append(field)
    if not fields:
        raise ValueError("nothing is set or cleared")
    twice = sorted({field for field in fields if fields.count(field) > 1})
    if twice:
        raise ValueError(f"named twice: {', '.join(twice)}")
    return item, fields


def _check(field: str) -> None:
    known = field in {*_READERS, "attributes"} or field.removeprefix(_ATTRIBUTE) not in ("", field)
    if not known:
        raise ValueError(
            f"no field {field!r}; there are {', '.join(_READERS)}, attributes and attributes.NAME"
        )


def _set(item: Item, field: str, value: str) -> None:
    if field == "attributes":
        item.attributes.MergeFrom(attributes(_object(value)))
    elif field.startswith(_ATTRIBUTE):
        item.attributes.MergeFrom(attributes({field.removeprefix(_ATTRIBUTE): _attribute(value)}))
    else:
        # A field that is a message cannot be assigned.
        item.MergeFrom(Item(**{field: _READERS[field](value)}))


def _object(value: str) -> dict[str, Any]:
    read = json.loads(value)
    if not isinstance(read, dict):
        raise ValueError("no JSON object")
    return read


# JSON has no type of its own that the callers could do something with.
def _attribute(value: str) -> Any:  # noqa: ANN401
    if value[:1] in ('"', "[", "{"):
        return json.loads(value)
    return literals.attribute(value)
