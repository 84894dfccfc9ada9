"""What each API key has stored: the items that it made, and how much it recorded of a day."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add the table and the column; what there is so far is counted for no key."""
    op.create_table(
        "usage",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("item_count", sa.BigInteger, nullable=False),
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("event_count", sa.BigInteger, nullable=False),
    )
    op.add_column("items", sa.Column("owner", sa.String, nullable=False, server_default=""))
