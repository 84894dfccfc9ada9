"""Revisions of interactions, and persons that were forgotten: what behaviour is followed by."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column and the table; what is recorded counts as of the revision of the store."""
    op.add_column(
        "interactions", sa.Column("revision", sa.BigInteger, nullable=False, server_default="0")
    )
    op.execute("UPDATE interactions SET revision = (SELECT revision FROM sequence)")
    op.create_index("interactions_by_revision", "interactions", ["revision", "time"])
    op.create_table(
        "forgotten",
        sa.Column("person", sa.LargeBinary, primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.create_index("forgotten_by_revision", "forgotten", ["revision"])
