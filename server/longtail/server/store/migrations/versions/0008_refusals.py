"""What an operation passed over: how many items, and why the first of them."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the columns."""
    for column in (
        sa.Column("refused", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("refusals", sa.Text, nullable=False, server_default="{}"),
    ):
        op.add_column("operations", column)
