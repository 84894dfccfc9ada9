"""Penalties of items; popularity by type of interaction, as sums that can decay."""

import sqlalchemy as sa
from alembic import op
from longtail.server.store.clock import now

revision = "0003"
down_revision = "0002"

EARLIEST = -62_135_596_800_000_000


def upgrade() -> None:
    """Add the columns, and count the interactions anew, without decay as they were counted."""
    op.add_column("items", sa.Column("penalty", sa.Float, nullable=False, server_default="0"))
    op.add_column("interactions", sa.Column("counted_time", sa.BigInteger))
    ahead = sa.text("UPDATE interactions SET counted_time = :now WHERE time > :now")
    op.execute(ahead.bindparams(now=now()))

    op.rename_table("popularity", "counts")
    op.drop_index("popularity_by_revision", "counts")
    op.create_table(
        "popularity",
        sa.Column("item_id", sa.String, primary_key=True),
        sa.Column("type", sa.String, primary_key=True),
        sa.Column("interactions", sa.BigInteger, nullable=False),
        sa.Column("mass", sa.Float, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("popularity_by_revision", "popularity", ["revision"])
    op.execute(
        "INSERT INTO popularity (item_id, type, interactions, mass, time, revision)"
        " SELECT item_id, type, count(*), count(*), max(coalesce(counted_time, time)),"
        " max(revision) FROM interactions JOIN counts USING (item_id) GROUP BY item_id, type"
    )
    op.drop_table("counts")

    decay = op.create_table(
        "popularity_decay",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("half_life", sa.Float, nullable=False),
        sa.Column("newest", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(decay, [{"id": 1, "half_life": 0.0, "newest": EARLIEST}])
    op.execute(
        "UPDATE popularity_decay SET newest = coalesce((SELECT max(time) FROM popularity), newest)"
    )
