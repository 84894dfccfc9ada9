"""What was decided about items in review."""

from longtail.server.store.schema.sequence import metadata
from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, String, Table, Text, text

# Rows are never deleted: they are the history. `latest` are those of an item that no later decision
# ended: one without an expire_time at most, and one with it, which counts until then. Also for ids
# that the catalogue does not hold (yet).
decisions = Table(
    "decisions",
    metadata,
    Column("revision", BigInteger, primary_key=True),
    Column("item_id", String, nullable=False),
    Column("kind", Integer, nullable=False),
    Column("penalty", Float, nullable=False),
    Column("author", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("expire_time", BigInteger),
    Column("latest", Boolean, nullable=False),
    Index("decisions_by_item", "item_id", "revision"),
    Index(
        "decisions_latest",
        "item_id",
        sqlite_where=text("latest = 1"),
        postgresql_where=text("latest"),
    ),
)
