"""The vector spaces beside the encoder's, and the vectors of items in them."""

from longtail.server.store.schema.sequence import metadata
from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, String, Table, text

# The id is the revision at which the space was declared, so it never comes to stand for another. A
# row that is marked as deleted stays as long as vectors are left of it.
vector_spaces = Table(
    "vector_spaces",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("name", String, nullable=False),
    Column("dimension", Integer, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Index(
        "one_space_of_a_name",
        "name",
        unique=True,
        sqlite_where=text("NOT deleted"),
        postgresql_where=text("NOT deleted"),
    ),
)

# Little-endian float32, unit length. The space comes first in the key, so that the vectors of one
# lie together.
extra_vectors = Table(
    "extra_vectors",
    metadata,
    Column("space_id", BigInteger, primary_key=True),
    Column("item_id", String, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)
