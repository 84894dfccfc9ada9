"""Turns rows into items and interactions; pure, so that every rule here is tested by itself."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

from google.protobuf.struct_pb2 import Struct
from longtail.client.importing import literals
from longtail.client.importing.rows import FileError
from longtail.client.importing.values import RowError, state_named, time_read
from longtail.v1.interaction_service_pb2 import Interaction
from longtail.v1.item_pb2 import Item

ARTICLE_COLUMNS = frozenset({"user_id", "item_id", "item_description", "query"})
_LIST_SEPARATOR = "|"


@dataclass(frozen=True)
class ItemColumns:
    """The columns that an item is made from; None where the file has none.

    Every other column becomes an attribute, save those of `ignored`. The attributes of
    `list_columns` are split at "|".
    """

    item_id: str
    title: str | None
    text: str | None
    prior: str | None
    state: str | None = None
    available_from: str | None = None
    available_until: str | None = None
    penalty: str | None = None
    list_columns: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()

    @cached_property
    def fields(self) -> frozenset[str | None]:
        """The columns that are no attribute of their own."""
        return self.ignored | {
            self.item_id,
            self.title,
            self.text,
            self.prior,
            self.state,
            self.available_from,
            self.available_until,
            self.penalty,
        }


@dataclass(frozen=True)
class InteractionColumns:
    """The columns that an interaction is made from; None where the file has none.

    `default_type` is the type where there is no column of types; `neutral` is taken from every
    value, so that what is below it pushes away. `needs_query` drops rows without a query.
    """

    user_id: str
    item_id: str
    default_type: str
    value: str | None
    time: str | None
    type: str | None
    query: str | None
    event_id: str | None
    recommendation_token: str | None = None
    neutral: float = 0.0
    needs_query: bool = False


def choose(
    columns: Sequence[str], wanted: str | None, defaults: Sequence[str], what: str
) -> str | None:
    """Return the column `wanted`, else the first of `defaults`; FileError if it is absent."""
    if wanted is not None:
        if wanted not in columns:
            raise FileError(f"no column {wanted!r} for the {what}; there are {_listed(columns)}")
        return wanted
    return next((name for name in defaults if name in columns), None)


def require(columns: Sequence[str], wanted: str | None, defaults: Sequence[str], what: str) -> str:
    """Return as `choose` does; FileError when there is no such column at all."""
    column = choose(columns, wanted, defaults, what)
    if column is None:
        raise FileError(f"no column for the {what}; there are {_listed(columns)}")
    return column


def item_from_row(row: Mapping[str, Any], columns: ItemColumns) -> Item:
    """Return the item of a row; RowError when it has no id, no words or a bad number."""
    item = Item(
        id=_required(row, columns.item_id, "id"),
        title=_text(row, columns.title),
        text=_text(row, columns.text),
    )
    if not item.title and not item.text:
        raise RowError("missing text")
    if columns.prior and _text(row, columns.prior):
        item.popularity_prior = _number(row, columns.prior)
    if columns.state and _text(row, columns.state):
        item.state = state_named(_text(row, columns.state))
    if columns.available_from and _text(row, columns.available_from):
        item.available_from.CopyFrom(time_read(row[columns.available_from]))
    if columns.available_until and _text(row, columns.available_until):
        item.available_until.CopyFrom(time_read(row[columns.available_until]))
    if columns.penalty and _text(row, columns.penalty):
        item.penalty = _number(row, columns.penalty)
    for name, value in row.items():
        if name in columns.fields:
            continue
        if name == "attributes" and isinstance(value, Mapping):
            # As an export writes them: of their kinds already, so that text stays text.
            for member, plain in value.items():
                _put(item.attributes, member, _plain(plain))
        else:
            _set_attribute(item.attributes, name, value, name in columns.list_columns)
    return item


def interaction_from_row(row: Mapping[str, Any], columns: InteractionColumns) -> Interaction:
    """Return the interaction of a row; RowError when a mapped column is empty or of no use.

    Without a column of event ids, the id is a hash of person, item, type, time and query: a file
    that is imported twice counts once, and so does a row that occurs twice in it.
    """
    interaction = Interaction(
        user_id=_required(row, columns.user_id, "user id"),
        item_id=_required(row, columns.item_id, "id"),
        type=_required(row, columns.type, "type") if columns.type else columns.default_type,
        query=_text(row, columns.query),
        recommendation_token=_text(row, columns.recommendation_token),
    )
    if columns.needs_query and not interaction.query:
        raise RowError("missing query")
    if columns.value:
        _required(row, columns.value, "value")
        interaction.value = _number(row, columns.value) - columns.neutral
    if columns.time:
        _required(row, columns.time, "timestamp")
        interaction.time.CopyFrom(time_read(row[columns.time]))
    if columns.event_id:
        interaction.event_id = _required(row, columns.event_id, "event id")
    else:
        interaction.event_id = _event_id(interaction)
    return interaction


def _event_id(interaction: Interaction) -> str:
    when = interaction.time.ToJsonString() if interaction.HasField("time") else ""
    digest = hashlib.blake2b(digest_size=16)
    for part in (
        interaction.user_id,
        interaction.item_id,
        interaction.type,
        when,
        interaction.query,
    ):
        # The length keeps ("ab", "c") and ("a", "bc") apart.
        digest.update(f"{len(part)}:{part}".encode())
    return digest.hexdigest()


def _required(row: Mapping[str, Any], column: str, what: str) -> str:
    text = _text(row, column)
    if not text:
        raise RowError(f"missing {what}")
    return text


def _text(row: Mapping[str, Any], column: str | None) -> str:
    value = row.get(column) if column else None
    if value is None:
        return ""
    # Parquet and JSON may hold ids as 7.0, which is the id 7.
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _number(row: Mapping[str, Any], column: str) -> float:
    try:
        number = float(row[column])
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise RowError("bad number", f"{column}: {row[column]!r}")
    return number


def _set_attribute(attributes: Struct, name: str, value: object, as_list: bool) -> None:
    plain = _plain(value)
    if plain is None or plain == "":
        return
    if isinstance(plain, str):
        if as_list:
            plain = [part.strip() for part in plain.split(_LIST_SEPARATOR) if part.strip()]
        else:
            number = literals.number(plain)
            plain = plain if number is None else number
    _put(attributes, name, plain)


def _put(attributes: Struct, name: str, plain: object) -> None:
    try:
        attributes[name] = plain  # type: ignore[assignment]  # what is of no use raises
    except (TypeError, ValueError) as error:
        raise RowError("bad attribute", f"{name}: {error}") from error


# JSON has no type of its own that the callers could do something with.
def _plain(value: object) -> Any:  # noqa: ANN401
    """Return the value as JSON knows it, as far as it can be."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(columns) or "none"
