"""What people did, and how often each item was met with by that."""

from longtail.server.store.schema.sequence import metadata
from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    text,
)

# An event_id is a person's own: whoever uses that of another takes nothing from them. The person
# comes first in the key, so that what is asked of one lies together.
#
# `counted_time` is when an interaction counts at, if not at its `time`: what is dated ahead of the
# clock counts as of the moment at which it was recorded.
interactions = Table(
    "interactions",
    metadata,
    Column("user_id", String, primary_key=True),
    Column("event_id", String, primary_key=True),
    Column("item_id", String, nullable=False),
    Column("type", String, nullable=False),
    Column("value", Float, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("query", Text, nullable=False),
    Column("counted_time", BigInteger),
    Column("recommendation_token", Text, nullable=False, server_default=""),
    Column("revision", BigInteger, nullable=False, server_default="0"),
    Index("interactions_by_revision", "revision", "time"),
    Index("interactions_by_user", "user_id", "time"),
    Index("interactions_by_item", "item_id", "time"),
    Index("interactions_by_age", "counted_time", "time"),
    Index(
        "interactions_by_recommended_item",
        "item_id",
        sqlite_where=text("recommendation_token <> ''"),
        postgresql_where=text("recommendation_token <> ''"),
    ),
)

# Persons who were deleted, by a hash that leads back to nobody without the store's key: what was
# learned from them is taken back wherever it is held, and lists that they were given before count
# for nothing. They may have come back since. `left` says where their data may lie still: Left.
forgotten = Table(
    "forgotten",
    metadata,
    Column("person", LargeBinary, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("left", Integer, nullable=False, server_default="0"),
    Index("forgotten_by_revision", "revision"),
)

# One row: what was done before the time `before` was deleted by its age. `revision` is that of the
# last such deletion, and `left` says where any of it may lie still, as above.
expiry = Table(
    "expiry",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("before", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("left", Integer, nullable=False),
)

# An item's interactions of one type: how many there are, and their decayed sum as of `time`, that
# of the newest. Also for ids that the catalogue does not hold (yet).
popularity = Table(
    "popularity",
    metadata,
    Column("item_id", String, primary_key=True),
    Column("type", String, primary_key=True),
    Column("interactions", BigInteger, nullable=False),
    Column("mass", Float, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Index("popularity_by_revision", "revision"),
    sqlite_with_rowid=False,
)

# One row: the half-life of the sums in microseconds, 0 where they do not decay, and the time at
# which the newest of all interactions counts.
popularity_decay = Table(
    "popularity_decay",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("half_life", Float, nullable=False),
    Column("newest", BigInteger, nullable=False),
)
