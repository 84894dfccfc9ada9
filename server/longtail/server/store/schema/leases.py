"""The division of a change of encoder among those who encode, and what they could not."""

from longtail.server.store.schema.sequence import metadata
from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text, text

# A part of an operation: items of the revisions from `after`, exclusive, to `last`, inclusive, of
# which the encoder had no vector for `texts` and `done` are dealt with. Nobody holds it while
# `holder` is empty. `beat` grows with every sign of life of the holder: clocks are not compared.
encode_leases = Table(
    "encode_leases",
    metadata,
    Column("operation_id", String, primary_key=True),
    Column("last", BigInteger, primary_key=True, autoincrement=False),
    Column("after", BigInteger, nullable=False),
    Column("encoder_id", Integer, nullable=False),
    Column("texts", BigInteger, nullable=False),
    Column("done", BigInteger, nullable=False),
    Column("holder", String, nullable=False),
    Column("beat", BigInteger, nullable=False),
    Column("finished", Boolean, nullable=False),
    Index(
        "encode_leases_unfinished",
        "operation_id",
        "last",
        sqlite_where=text("NOT finished"),
        postgresql_where=text("NOT finished"),
    ),
)

# Items' versions that the encoder of an operation makes no vector of: the status says why.
encode_refusals = Table(
    "encode_refusals",
    metadata,
    Column("operation_id", String, primary_key=True),
    Column("item_id", String, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("code", Integer, nullable=False),
    Column("message", Text, nullable=False),
)
