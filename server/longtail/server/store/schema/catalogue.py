"""Items, the encoders of their vectors, and the vectors."""

from enum import StrEnum

from longtail.server.store.schema.sequence import metadata
from sqlalchemy import (
    BigInteger,
    Boolean,
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


class Role(StrEnum):
    """What an encoder is to the catalogue."""

    CURRENT = "current"
    NEXT = "next"
    RETIRED = "retired"


# Rows are never deleted, so an id never comes to stand for another encoder.
encoders = Table(
    "encoders",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("model_id", String, nullable=False),
    Column("dimension", Integer, nullable=False),
    Column("role", String, nullable=False),
    Index(
        "one_encoder_in_a_role",
        "role",
        unique=True,
        sqlite_where=text("role <> 'retired'"),
        postgresql_where=text("role <> 'retired'"),
    ),
)

# Each version of an item has a revision of its own; `content_revision` is that of the version since
# which title, text, attributes and state are what they are.
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
    Column("state", Integer, nullable=False, server_default="1"),
    Column("available_from", BigInteger),
    Column("available_until", BigInteger),
    Column("penalty", Float, nullable=False, server_default="0"),
    Column("content_revision", BigInteger, nullable=False, server_default="0"),
    # The API key that made it; empty without one.
    Column("owner", String, nullable=False, server_default=""),
    Index(
        "items_in_review",
        "content_revision",
        sqlite_where=text("state = 3"),
        postgresql_where=text("state = 3"),
    ),
)

# How many items have each attribute, by its dotted path.
attribute_names = Table(
    "attribute_names",
    metadata,
    Column("name", String, primary_key=True),
    Column("item_count", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Little-endian float32, unit length. The encoder comes first in the key, so that one encoder's
# vectors lie together and those of a retired one are found without a scan.
vectors = Table(
    "vectors",
    metadata,
    Column("encoder_id", Integer, primary_key=True),
    Column("item_id", String, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)
