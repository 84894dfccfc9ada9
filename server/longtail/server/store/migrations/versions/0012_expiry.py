"""Interactions are deleted by age: the oldest are found, and how far back was deleted is known."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

# The first moment that a message can tell.
EARLIEST = -62_135_596_800_000_000


def upgrade() -> None:
    """Add the table and the index; so far nothing was deleted by its age."""
    expiry = op.create_table(
        "expiry",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("before", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("left", sa.Integer, nullable=False),
    )
    op.bulk_insert(expiry, [{"id": 1, "before": EARLIEST, "revision": 0, "left": 0}])
    op.create_index("interactions_by_age", "interactions", ["counted_time", "time"])
