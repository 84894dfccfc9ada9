"""What is left of persons who were deleted, and a hash of them that has a key."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the column. Hashes without a key go: nobody follows a store that is just opened."""
    op.execute("DELETE FROM forgotten")
    op.add_column("forgotten", sa.Column("left", sa.Integer, nullable=False, server_default="0"))
