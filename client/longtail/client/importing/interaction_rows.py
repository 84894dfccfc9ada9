"""Turns a row into an interaction, with an id that the same row has in every import."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from longtail.client.importing import values
from longtail.client.importing.columns import InteractionColumns
from longtail.client.importing.times import Times
from longtail.client.importing.values import RowError
from longtail.v1.interaction_service_pb2 import Interaction

# As the contract has it.
MAX_VALUE = 1000.0


def interaction_reader(
    columns: InteractionColumns, times: Times
) -> Callable[[Mapping[str, Any]], Interaction]:
    """Return what turns rows into interactions; `times` reads those of the file.

    It raises RowError of a row in which a mapped column is empty or of no use.

    Without a column of event ids, the id is a hash of person, item, type, query and time, or value
    where there is no time: a file that is imported twice counts once, and so does a row that occurs
    twice in it, while a rating that was changed is another one, the latest of which counts.
    """
    persons_are_numbers = columns.user_id in columns.numbered
    items_are_numbers = columns.item_id in columns.numbered

    def read(row: Mapping[str, Any]) -> Interaction:
        interaction = Interaction(
            user_id=columns.one_user
            or values.identifier(row, columns.user_id, "user id", persons_are_numbers),
            item_id=values.identifier(row, columns.item_id, "id", items_are_numbers),
            type=values.required(row, columns.type, "type")
            if columns.type
            else columns.default_type,
            query=values.text(row, columns.query),
            recommendation_token=values.text(row, columns.recommendation_token),
        )
        if columns.needs_query and not interaction.query:
            raise RowError("missing query")
        if columns.value:
            if values.is_missing(row.get(columns.value)):
                raise RowError("missing value")
            value = columns.scale.of(values.number(row, columns.value) - columns.neutral)
            if abs(value) > MAX_VALUE:
                raise RowError("value over 1,000", f"{columns.value}: {value:g}; see --scale")
            interaction.value = value
        if columns.time:
            if values.is_missing(row.get(columns.time)):
                raise RowError("missing timestamp")
            interaction.time.CopyFrom(times.read(row[columns.time]))
        if columns.event_id:
            interaction.event_id = values.identifier(row, columns.event_id, "event id")
        else:
            interaction.event_id = _event_id(interaction)
        return interaction

    return read


def digest_of(*parts: str) -> bytes:
    """Return what stands for these parts in this order, 16 bytes."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        # The length keeps ("ab", "c") and ("a", "bc") apart.
        digest.update(f"{len(part)}:{part}".encode())
    return digest.digest()


def _event_id(interaction: Interaction) -> str:
    if interaction.HasField("time"):
        which = interaction.time.ToJsonString()
    else:
        which = repr(interaction.value) if interaction.HasField("value") else ""
    return digest_of(
        interaction.user_id, interaction.item_id, interaction.type, which, interaction.query
    ).hex()
