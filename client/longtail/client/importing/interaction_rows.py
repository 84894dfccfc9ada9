"""Turns a row into an interaction, with an id that the same row has in every import."""

import hashlib
from collections.abc import Mapping
from typing import Any

from longtail.client.importing import values
from longtail.client.importing.columns import InteractionColumns
from longtail.client.importing.values import RowError
from longtail.v1.interaction_service_pb2 import Interaction


def interaction_from_row(row: Mapping[str, Any], columns: InteractionColumns) -> Interaction:
    """Return the interaction of a row; RowError when a mapped column is empty or of no use.

    Without a column of event ids, the id is a hash of person, item, type, time and query: a file
    that is imported twice counts once, and so does a row that occurs twice in it.
    """
    interaction = Interaction(
        user_id=values.required(row, columns.user_id, "user id"),
        item_id=values.required(row, columns.item_id, "id"),
        type=values.required(row, columns.type, "type") if columns.type else columns.default_type,
        query=values.text(row, columns.query),
        recommendation_token=values.text(row, columns.recommendation_token),
    )
    if columns.needs_query and not interaction.query:
        raise RowError("missing query")
    if columns.value:
        values.required(row, columns.value, "value")
        interaction.value = values.number(row, columns.value) - columns.neutral
    if columns.time:
        values.required(row, columns.time, "timestamp")
        interaction.time.CopyFrom(values.time_read(row[columns.time]))
    if columns.event_id:
        interaction.event_id = values.required(row, columns.event_id, "event id")
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
