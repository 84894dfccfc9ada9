"""The sequence of revisions, and how much was written with them."""

from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table

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

# One row: how much the store holds, moved on by each write. Users are persons with interactions.
counts = Table(
    "counts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("items", BigInteger, nullable=False),
    Column("interactions", BigInteger, nullable=False),
    Column("users", BigInteger, nullable=False),
)
