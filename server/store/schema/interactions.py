"""What people did, and how often each item was met with."""

from sqlalchemy import BigInteger, Column, Float, Index, String, Table, Text

from server.store.schema.sequence import metadata

interactions = Table(
    "interactions",
    metadata,
    Column("event_id", String, primary_key=True),
    Column("user_id", String, nullable=False),
    Column("item_id", String, nullable=False),
    Column("type", String, nullable=False),
    Column("value", Float, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("query", Text, nullable=False),
    Index("interactions_by_user", "user_id", "time"),
    Index("interactions_by_item", "item_id", "time"),
)

# How many interactions an item has; also for ids that the catalogue does not hold (yet).
popularity = Table(
    "popularity",
    metadata,
    Column("item_id", String, primary_key=True),
    Column("interactions", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Index("popularity_by_revision", "revision"),
)
