"""Whether persons go by pseudonyms, and of which key."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add the table; so far persons go by their ids."""
    pseudonyms = op.create_table(
        "pseudonyms",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("mark", sa.LargeBinary, nullable=False),
    )
    op.bulk_insert(pseudonyms, [{"id": 1, "mark": b""}])
