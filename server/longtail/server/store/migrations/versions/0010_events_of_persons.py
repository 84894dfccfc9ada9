"""An event_id is unique among those of its person, not among all."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Make the table anew, which is what it takes to change a key."""
    op.create_table(
        "interactions_by_person",
        sa.Column("user_id", sa.String, primary_key=True),
        sa.Column("event_id", sa.String, primary_key=True),
        sa.Column("item_id", sa.String, nullable=False),
        sa.Column("type", sa.String, nullable=False),
        sa.Column("value", sa.Float, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("query", sa.Text, nullable=False),
        sa.Column("counted_time", sa.BigInteger),
        sa.Column("recommendation_token", sa.Text, nullable=False, server_default=""),
        sa.Column("revision", sa.BigInteger, nullable=False, server_default="0"),
    )
    op.execute(
        "INSERT INTO interactions_by_person (user_id, event_id, item_id, type, value, time, query,"
        " counted_time, recommendation_token, revision)"
        " SELECT user_id, event_id, item_id, type, value, time, query, counted_time,"
        " recommendation_token, revision FROM interactions"
    )
    op.drop_table("interactions")
    op.rename_table("interactions_by_person", "interactions")
    op.create_index("interactions_by_revision", "interactions", ["revision", "time"])
    op.create_index("interactions_by_user", "interactions", ["user_id", "time"])
    op.create_index("interactions_by_item", "interactions", ["item_id", "time"])
    recommended = sa.text("recommendation_token <> ''")
    op.create_index(
        "interactions_by_recommended_item",
        "interactions",
        ["item_id"],
        sqlite_where=recommended,
        postgresql_where=recommended,
    )
