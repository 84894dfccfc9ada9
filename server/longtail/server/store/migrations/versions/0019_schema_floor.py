"""Which versions may serve the store, so that one can go back to the version before."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Add the floor. A migration that takes away or changes what was there raises it to its own."""
    # As 0018 has all texts be.
    order = "C" if op.get_bind().dialect.name == "postgresql" else None
    op.create_table(
        "schema_floor",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("oldest", sa.String(collation=order), nullable=False),
    )
    op.execute("INSERT INTO schema_floor VALUES (1, '0019')")
