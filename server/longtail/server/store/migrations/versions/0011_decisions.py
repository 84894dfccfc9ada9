"""Decisions of review, and since when the content of an item is what it is."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the table and the column; what was written before is taken as it was written last."""
    op.create_table(
        "decisions",
        sa.Column("revision", sa.BigInteger, primary_key=True),
        sa.Column("item_id", sa.String, nullable=False),
        sa.Column("kind", sa.Integer, nullable=False),
        sa.Column("penalty", sa.Float, nullable=False),
        sa.Column("author", sa.String, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("expire_time", sa.BigInteger),
        sa.Column("latest", sa.Boolean, nullable=False),
    )
    op.create_index("decisions_by_item", "decisions", ["item_id", "revision"])
    op.create_index(
        "decisions_latest",
        "decisions",
        ["item_id"],
        sqlite_where=sa.text("latest = 1"),
        postgresql_where=sa.text("latest"),
    )
    content = sa.Column("content_revision", sa.BigInteger, nullable=False, server_default="0")
    op.add_column("items", content)
    op.execute("UPDATE items SET content_revision = revision")
    in_review = sa.text("state = 3")
    op.create_index(
        "items_in_review",
        "items",
        ["content_revision"],
        sqlite_where=in_review,
        postgresql_where=in_review,
    )
