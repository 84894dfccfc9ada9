"""The names of attributes are counted, so that they can be bounded."""

import json
from collections import Counter
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

MAX_NAME = 256


def upgrade() -> None:
    """Add the table, and count what there is."""
    names = op.create_table(
        "attribute_names",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("item_count", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    held = op.get_bind().exec_driver_sql(
        "SELECT attributes FROM items WHERE NOT removed AND attributes <> '{}'"
    )
    counts = Counter(name for (attributes,) in held for name in _names(json.loads(attributes)))
    if counts:
        op.bulk_insert(names, [{"name": name, "item_count": n} for name, n in counts.items()])


def _names(attributes: dict[str, Any]) -> set[str]:
    names: set[str] = set()
    pending = list(attributes.items())
    while pending:
        name, value = pending.pop()
        if len(name) > MAX_NAME or value is None:
            continue
        if isinstance(value, list):
            if not any(isinstance(element, (str, int, float)) for element in value):
                names.add(name)
            pending += [(name, element) for element in value]
            continue
        names.add(name)
        if isinstance(value, dict):
            pending += [(f"{name}.{inner}", held) for inner, held in value.items()]
    return names
