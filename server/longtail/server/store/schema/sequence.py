"""The sequence of revisions."""

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
