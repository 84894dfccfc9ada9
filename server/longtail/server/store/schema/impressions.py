"""What people were shown, and how much each item was shown of late."""

from longtail.server.store.schema.sequence import metadata
from sqlalchemy import BigInteger, Column, Float, Index, Integer, LargeBinary, String, Table

impressions = Table(
    "impressions",
    metadata,
    Column("list_id", LargeBinary, primary_key=True),
    Column("item_id", String, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("user_id", String, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("relevance_loss", Float, nullable=False),
    Column("propensity", Float, nullable=False),
    Index("impressions_by_time", "time"),
    Index("impressions_by_user", "user_id", "time"),
    Index("impressions_by_item", "item_id"),
)

# How often an item was shown, those impressions included that are no longer kept; and their decayed
# sum as of `time`, that of the newest. Also for ids that the catalogue does not hold.
exposure = Table(
    "exposure",
    metadata,
    Column("item_id", String, primary_key=True),
    Column("impressions", BigInteger, nullable=False),
    Column("mass", Float, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Index("exposure_by_revision", "revision"),
)

# One row: the half-life of the sums, in microseconds. Every process that writes to the store goes
# by it.
exposure_decay = Table(
    "exposure_decay",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("half_life", Float, nullable=False),
)
