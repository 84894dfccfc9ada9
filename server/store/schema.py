"""The tables of the store.

Every committed write takes the next revisions of one sequence and leaves them in the rows that it
changed, so a view that holds revision r is brought up to date by the rows above r. An item that is
removed leaves its row, marked, for the same reason.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()

# One row: the last revision that was given out. Two stores give out the same numbers, so the
# sequence has an identity that nothing else has.
sequence = Table(
    "sequence",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("identity", String, nullable=False),
    Column("revision", BigInteger, nullable=False),
)

# One row once the first vectors are in: the encoder that makes them.
encoder = Table(
    "encoder",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("model_id", String, nullable=False),
    Column("dimension", Integer, nullable=False),
)

# Times are microseconds since the epoch, UTC. Each version of an item has a revision of its own.
items = Table(
    "items",
    metadata,
    Column("id", String, primary_key=True),
    Column("revision", BigInteger, nullable=False, unique=True),
    Column("removed", Boolean, nullable=False),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("attributes", Text, nullable=False),
    Column("prior", Float, nullable=False),
    Column("vector_given", Boolean, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("update_time", BigInteger, nullable=False),
)

# Little-endian float32, unit length.
vectors = Table(
    "vectors",
    metadata,
    Column("item_id", String, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)

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
