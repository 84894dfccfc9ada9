"""The key of recommendation tokens, which every copy of the store keeps."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

# As long as the digest that it goes into.
KEY_BYTES = 32


def upgrade() -> None:
    """Add the table, with a key that no other store has."""
    table = op.create_table(
        "token_key",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("key", sa.LargeBinary, nullable=False),
    )
    op.bulk_insert(table, [{"id": 1, "key": secrets.token_bytes(KEY_BYTES)}])
