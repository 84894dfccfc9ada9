"""The sequence of revisions, what every copy of the store shares, and how much was written."""

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, String, Table

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

# One row: the secret by which a catalogue knows its own tokens. What was given out stays good when
# the store is restored, on another machine too, so it goes with every copy, unlike the identity.
token_key = Table(
    "token_key",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", LargeBinary, nullable=False),
)

# One row: what tells the key of the pseudonyms that persons go by, empty where they go by their
# ids. The key is kept elsewhere.
pseudonyms = Table(
    "pseudonyms",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("mark", LargeBinary, nullable=False),
)

# One row: the oldest schema whose version may serve the store. What came since only expanded it.
schema_floor = Table(
    "schema_floor",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("oldest", String, nullable=False),
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
