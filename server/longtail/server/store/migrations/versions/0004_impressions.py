"""Impressions, exposure, and the lists that interactions came from."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

WEEK = 7 * 24 * 3600 * 10**6


def upgrade() -> None:
    """Add the tables and the column; so far nothing was shown that anybody recorded."""
    op.create_table(
        "impressions",
        sa.Column("list_id", sa.LargeBinary, primary_key=True),
        sa.Column("item_id", sa.String, primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("user_id", sa.String, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("relevance_loss", sa.Float, nullable=False),
        sa.Column("propensity", sa.Float, nullable=False),
    )
    op.create_index("impressions_by_time", "impressions", ["time"])
    op.create_index("impressions_by_user", "impressions", ["user_id", "time"])
    op.create_index("impressions_by_item", "impressions", ["item_id"])
    op.create_table(
        "exposure",
        sa.Column("item_id", sa.String, primary_key=True),
        sa.Column("impressions", sa.BigInteger, nullable=False),
        sa.Column("mass", sa.Float, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.create_index("exposure_by_revision", "exposure", ["revision"])
    decay = op.create_table(
        "exposure_decay",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("half_life", sa.Float, nullable=False),
    )
    op.bulk_insert(decay, [{"id": 1, "half_life": WEEK}])
    op.add_column(
        "interactions",
        sa.Column("recommendation_token", sa.Text, nullable=False, server_default=""),
    )
    recommended = sa.text("recommendation_token <> ''")
    op.create_index(
        "interactions_by_recommended_item",
        "interactions",
        ["item_id"],
        sqlite_where=recommended,
        postgresql_where=recommended,
    )
