"""Turns a row into an item: its own columns, and an attribute of every other one."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from math import isfinite
from typing import Any

from google.protobuf.struct_pb2 import Struct
from longtail.client.calls.attributes import MAX_INTEGER
from longtail.client.importing import literals, values
from longtail.client.importing.columns import ItemColumns
from longtail.client.importing.values import RowError
from longtail.v1.item_pb2 import Item

_LIST_SEPARATOR = "|"


def item_from_row(row: Mapping[str, Any], columns: ItemColumns) -> Item:
    """Return the item of a row; RowError when it has no id, no words or a bad number."""
    item = Item(
        id=values.required(row, columns.item_id, "id"),
        title=values.text(row, columns.title),
        text=values.text(row, columns.text),
    )
    if not item.title and not item.text:
        raise RowError("missing text")
    if columns.prior and values.text(row, columns.prior):
        item.popularity_prior = values.number(row, columns.prior)
    if columns.state and values.text(row, columns.state):
        item.state = values.state_named(values.text(row, columns.state))
    if columns.available_from and values.text(row, columns.available_from):
        item.available_from.CopyFrom(values.time_read(row[columns.available_from]))
    if columns.available_until and values.text(row, columns.available_until):
        item.available_until.CopyFrom(values.time_read(row[columns.available_until]))
    if columns.penalty and values.text(row, columns.penalty):
        item.penalty = values.number(row, columns.penalty)
    for name, value in row.items():
        if name in columns.fields:
            continue
        if name == "attributes" and isinstance(value, Mapping):
            # As an export writes them: of their kinds already, so that text stays the text it is.
            for member, plain in value.items():
                _put(item.attributes, member, _plain(plain))
        else:
            _set_attribute(item.attributes, name, value, name in columns.list_columns)
    return item


def _set_attribute(attributes: Struct, name: str, value: object, as_list: bool) -> None:
    plain = _plain(value.strip() if isinstance(value, str) else value)
    if plain is None or plain == "":
        return
    if isinstance(value, str):
        if as_list:
            plain = [part.strip() for part in plain.split(_LIST_SEPARATOR) if part.strip()]
        else:
            plain = literals.attribute(plain)
    _put(attributes, name, plain)


def _put(attributes: Struct, name: str, plain: object) -> None:
    try:
        attributes[name] = plain  # type: ignore[assignment]  # what is of no use raises
    except (TypeError, ValueError) as error:
        raise RowError("bad attribute", f"{name}: {error}") from error


# JSON has no type of its own that the callers could do something with.
def _plain(value: object) -> Any:  # noqa: ANN401
    """Return the value as JSON knows it, as far as it can be.

    An integer that a double cannot hold becomes text, as it does in a CSV.
    """
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, float | Decimal) and not isfinite(value):
        return None
    if isinstance(value, Decimal):
        return _plain(int(value)) if value == value.to_integral_value() else float(value)
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        return str(value)
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(element) for element in value]
    return value
