"""What the service remembers for its callers: requests it has answered, operations it runs."""

from longtail.server.store.schema.sequence import metadata
from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table, Text

# The answers of requests that can be repeated.
requests = Table(
    "requests",
    metadata,
    Column("request_id", String, primary_key=True),
    Column("method", String, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("reply", LargeBinary, nullable=False),
    Column("time", BigInteger, nullable=False),
    Index("requests_by_time", "time"),
)

# What each API key has stored, by its name: items that are there, and what it recorded on a `day`,
# since the epoch.
usage = Table(
    "usage",
    metadata,
    Column("key", String, primary_key=True),
    Column("item_count", BigInteger, nullable=False),
    Column("day", Integer, nullable=False),
    Column("event_count", BigInteger, nullable=False),
)

# `number` is the order of creation.
operations = Table(
    "operations",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", String, nullable=False, unique=True),
    Column("kind", Integer, nullable=False),
    Column("state", Integer, nullable=False),
    Column("done", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("error_code", Integer, nullable=False),
    Column("error_message", Text, nullable=False),
    Column("arguments", Text, nullable=False),
    Column("snapshot_id", String, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("update_time", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False, server_default="0"),
    Column("refusals", Text, nullable=False, server_default="{}"),
)
