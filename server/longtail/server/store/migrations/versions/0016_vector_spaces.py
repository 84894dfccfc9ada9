"""Vector spaces beside the encoder's, and the vectors of items in them."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add the tables; nothing has a vector in a space so far."""
    op.create_table(
        "vector_spaces",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("dimension", sa.Integer, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
    )
    there = sa.text("NOT deleted")
    op.create_index(
        "one_space_of_a_name",
        "vector_spaces",
        ["name"],
        unique=True,
        sqlite_where=there,
        postgresql_where=there,
    )
    op.create_table(
        "extra_vectors",
        sa.Column("space_id", sa.BigInteger, primary_key=True),
        sa.Column("item_id", sa.String, primary_key=True),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
