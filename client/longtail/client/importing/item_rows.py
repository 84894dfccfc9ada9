"""Turns a row into an item: its own columns, and an attribute of every other one."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any

from google.protobuf.struct_pb2 import Struct
from longtail.client.calls.attributes import MAX_INTEGER, attributes_of
from longtail.client.importing import literals, values
from longtail.client.importing.columns import ItemColumns
from longtail.client.importing.survey import Column, Kind, listed
from longtail.client.importing.times import read_time
from longtail.client.importing.values import RowError
from longtail.v1.item_pb2 import Item, NamedVector

# Bytes that an item's attributes may have as JSON, and from which on it is worth a count.
MAX_ATTRIBUTES, MANY_ATTRIBUTES = 16 * 1024, 8 * 1024
# What the contract lets be in each other, the attributes themselves being the first.
MAX_LEVELS = 30
# Text is marked up where it has a known element or an entity; a < b is none.
_MARKUP = re.compile(
    r"</?(?:a|b|i|p|br|ul|ol|li|em|div|span|strong|table|tr|td|h[1-6]|img|font|blockquote|script|style)\b[^>]*>"
    r"|&(?:#\d+|#x[0-9a-fA-F]+|[a-zA-Z]{2,8});"
)

# What becomes of the text in a cell: an attribute's value, None where there is none.
ReadCell = Callable[[str], Any]


def item_reader(
    columns: ItemColumns, surveyed: Mapping[str, Column]
) -> Callable[[Mapping[str, Any]], Item]:
    """Return what turns rows into items; `surveyed`: the columns of a file whose cells are text.

    It raises RowError of a row without an id, words or a vector, or with what is of no use.
    """
    cells = {name: _cell_reader(name, column, columns) for name, column in surveyed.items()}
    fields = columns.fields
    has_vectors = columns.extra_vectors is not None or bool(columns.named_vectors)
    has_fields = columns.more_fields
    numbers = columns.item_id in columns.numbered

    def read(row: Mapping[str, Any]) -> Item:
        if columns.exported:
            item = _as_exported(row)
        else:
            title, text = values.text(row, columns.title), values.text(row, columns.text)
            item = Item(
                id=values.identifier(row, columns.item_id, "id", numbers),
                title=_without_markup(title) if title else title,
                text=_without_markup(text) if text else text,
            )
        if columns.vector and not _is_empty(row.get(columns.vector)):
            item.vector = values.vector(row, columns.vector)
        if has_vectors:
            item.extra_vectors.extend(_extra_vectors(row, columns))
        if not (item.title or item.text or item.vector or item.extra_vectors):
            raise RowError("missing text")
        if columns.prior and values.text(row, columns.prior):
            item.popularity_prior = values.number(row, columns.prior)
        if has_fields:
            _set_fields(item, row, columns)
        has_attributes = False
        for name, value in row.items():
            if name in cells:
                cell = value.strip()
                if not values.is_missing(cell):
                    _put(item.attributes, name, cells[name](cell))
                    has_attributes = True
            elif name not in fields:
                _set_typed(item.attributes, name, value, columns)
                has_attributes = True
        if has_attributes and item.attributes.ByteSize() > MANY_ATTRIBUTES:
            _check_size(item.attributes)
        return item

    return read


def _as_exported(row: Mapping[str, Any]) -> Item:
    try:
        return Item(id=row["id"], title=row["title"], text=row["text"])
    except (KeyError, TypeError) as error:
        raise RowError("not as an export has it", str(error)) from error


def _set_fields(item: Item, row: Mapping[str, Any], columns: ItemColumns) -> None:
    if columns.state and values.text(row, columns.state):
        item.state = values.state_named(values.text(row, columns.state))
    for name, column in (
        ("available_from", columns.available_from),
        ("available_until", columns.available_until),
    ):
        if column and not values.is_missing(row.get(column)):
            getattr(item, name).CopyFrom(read_time(row[column]))
    if columns.penalty and values.text(row, columns.penalty):
        item.penalty = values.number(row, columns.penalty)


def _extra_vectors(row: Mapping[str, Any], columns: ItemColumns) -> Iterator[NamedVector]:
    """Yield the vectors of a row in vector spaces: of columns of their own, or of an export's."""
    for name, column in columns.named_vectors.items():
        if not _is_empty(row.get(column)):
            yield NamedVector(name=name, vector=values.vector(row, column))
    exported = columns.extra_vectors
    if exported is None or _is_empty(row.get(exported)):
        return
    given = row[exported]
    for each in given if isinstance(given, list) else [given]:
        if not isinstance(each, Mapping) or each.keys() != {"name", "vector"}:
            raise RowError("bad vector", f"{exported}: {each!r:.80} is no name and vector")
        yield NamedVector(name=values.text(each, "name"), vector=values.vector(each, "vector"))


def _cell_reader(name: str, column: Column, columns: ItemColumns) -> ReadCell:
    """Return what reads the cells of a column, which have one type all over."""
    if name in columns.list_columns:
        return lambda cell: _elements(cell, column.divider)
    if name in columns.split_columns:
        return str.split
    if name in columns.number_columns:
        return lambda cell: _number(name, cell)
    kind = Kind.TEXT if name in columns.text_columns else column.kind
    if kind is Kind.FLAG:
        return literals.flag
    if kind is Kind.NUMBER:
        return float
    return _literal_list if kind is Kind.LIST else str


def _elements(cell: str, divider: str) -> list[Any]:
    found = listed(cell) if cell.startswith("[") else None
    if found is not None:
        return found
    return [part.strip() for part in cell.split(divider) if part.strip()]


def _literal_list(cell: str) -> list[Any] | None:
    return listed(cell)


def _number(name: str, cell: str) -> float:
    return values.number({name: cell}, name)


def _set_typed(attributes: Struct, name: str, value: object, columns: ItemColumns) -> None:
    """Set what a file with types of its own holds."""
    if name == "attributes" and isinstance(value, Mapping):
        # As an export writes them.
        members = _plain(name, value)
        _check_levels(name, members, MAX_LEVELS)
        attributes.update(members)
        return
    if isinstance(value, str) and name in columns.list_columns:
        divider = next((each for each in "|;," if each in value), "|")
        _put(attributes, name, _elements(value, divider))
        return
    plain = _plain(name, value)
    if values.is_missing(plain):
        return
    if name in columns.text_columns and isinstance(plain, int | float):
        plain = json.dumps(plain) if isinstance(plain, bool) else values.text({name: plain}, name)
    elif name in columns.number_columns and isinstance(plain, str):
        plain = _number(name, plain)
    _put(attributes, name, plain.strip() if isinstance(plain, str) else plain)


def _put(attributes: Struct, name: str, plain: Any) -> None:  # noqa: ANN401 (JSON)
    if plain is None or plain == "" or plain == []:
        return
    value = attributes.fields[name]
    # A fifth of the time that a Struct takes to find out what it is.
    if type(plain) is str:
        value.string_value = plain
    elif type(plain) is bool:
        value.bool_value = plain
    elif isinstance(plain, int | float):
        value.number_value = plain
    else:
        _check_levels(name, plain, MAX_LEVELS - 1)
        try:
            attributes[name] = plain
        except (TypeError, ValueError) as error:
            raise RowError("bad attribute", f"{name}: {error}") from error


# JSON has no type of its own that the callers could do something with.
def _plain(name: str, value: object) -> Any:  # noqa: ANN401
    """Return the value as JSON knows it, as far as it can be; None where it is missing.

    An integer that a double cannot hold becomes text, as it does in a CSV. RowError of what JSON
    does not know.
    """
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, datetime) and value.tzinfo is None:
        # Without a zone no filter would take it for a time.
        return value.replace(tzinfo=UTC).isoformat()
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise RowError("bad attribute", f"{name}: bytes, no text; {_leave(name)}") from error
    if isinstance(value, float | Decimal) and not isfinite(value):
        return None
    if isinstance(value, Decimal):
        if value == value.to_integral_value():
            return _plain(name, int(value))
        # What a double would round keeps its digits as text.
        return float(value) if Decimal(repr(float(value))) == value else str(value)
    if isinstance(value, int):
        return str(value) if abs(value) > MAX_INTEGER else value
    if isinstance(value, float):
        return value
    if isinstance(value, Mapping):
        return {str(member): _plain(name, inner) for member, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(name, element) for element in value]
    raise RowError(
        "bad attribute", f"{name}: {type(value).__name__} is not of JSON; {_leave(name)}"
    )


def _check_levels(name: str, plain: Any, most: int) -> None:  # noqa: ANN401 (JSON)
    """Raise RowError where more than `most` objects and lists are in each other.

    One that no server can parse would take its whole batch with it.
    """
    level = [plain]
    for _ in range(most + 1):
        held = [each for each in level if isinstance(each, dict | list)]
        if not held:
            return
        level = [
            inner for each in held for inner in (each.values() if isinstance(each, dict) else each)
        ]
    raise RowError("attributes too deep", f"{name}: over {MAX_LEVELS} levels; {_leave(name)}")


def _check_size(attributes: Struct) -> None:
    plain = attributes_of(Item(attributes=attributes))
    if _size(plain) > MAX_ATTRIBUTES:
        largest = max(plain, key=lambda name: _size(plain[name]))
        raise RowError(
            "attributes too large",
            f"over {MAX_ATTRIBUTES:,} bytes as JSON; the largest is {largest}: {_leave(largest)}",
        )


def _leave(name: str) -> str:
    return f"leave it out with --ignore {name!r}"


def _size(plain: Any) -> int:  # noqa: ANN401 (JSON)
    """Return the bytes of a JSON value, as the server counts them."""
    return len(json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode())


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str | bytes | Sequence) and not len(value))


def _without_markup(text: str) -> str:
    """Return a text without the elements of HTML, and with what its entities stand for."""
    if not _MARKUP.search(text):
        return text
    from selectolax.lexbor import LexborHTMLParser

    page = LexborHTMLParser(text)
    page.strip_tags(["script", "style"], recursive=True)
    body = page.body
    return " ".join(body.text(separator=" ").split()) if body is not None else ""
