"""How much the store holds, kept with each write: counting it reads whole tables."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the table, and count what there is once."""
    op.create_table(
        "counts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("items", sa.BigInteger, nullable=False),
        sa.Column("interactions", sa.BigInteger, nullable=False),
        sa.Column("users", sa.BigInteger, nullable=False),
    )
    op.execute(
        "INSERT INTO counts (id, items, interactions, users) SELECT 1,"
        " (SELECT count(*) FROM items WHERE NOT removed),"
        " (SELECT count(*) FROM interactions),"
        " (SELECT count(DISTINCT user_id) FROM interactions)"
    )
