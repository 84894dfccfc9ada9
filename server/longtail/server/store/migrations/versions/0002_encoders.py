"""Several encoders, states and windows of items, repeatable requests, operations."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the tables and columns; what is there belongs to the one encoder so far."""
    op.create_table(
        "encoders",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("model_id", sa.String, nullable=False),
        sa.Column("dimension", sa.Integer, nullable=False),
        sa.Column("role", sa.String, nullable=False),
    )
    unretired = sa.text("role <> 'retired'")
    op.create_index(
        "one_encoder_in_a_role",
        "encoders",
        ["role"],
        unique=True,
        sqlite_where=unretired,
        postgresql_where=unretired,
    )
    op.execute(
        "INSERT INTO encoders (id, model_id, dimension, role)"
        " SELECT id, model_id, dimension, 'current' FROM encoder"
    )

    op.rename_table("vectors", "vectors_of_one_encoder")
    op.create_table(
        "vectors",
        sa.Column("encoder_id", sa.Integer, primary_key=True),
        sa.Column("item_id", sa.String, primary_key=True),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    op.execute(
        "INSERT INTO vectors (encoder_id, item_id, data)"
        " SELECT encoder.id, item_id, data FROM vectors_of_one_encoder, encoder"
    )
    op.drop_table("vectors_of_one_encoder")
    op.drop_table("encoder")

    op.add_column("items", sa.Column("state", sa.Integer, nullable=False, server_default="1"))
    op.add_column("items", sa.Column("available_from", sa.BigInteger))
    op.add_column("items", sa.Column("available_until", sa.BigInteger))
    op.create_index("interactions_by_item", "interactions", ["item_id", "time"])

    op.create_table(
        "requests",
        sa.Column("request_id", sa.String, primary_key=True),
        sa.Column("method", sa.String, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("reply", sa.LargeBinary, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
    )
    op.create_index("requests_by_time", "requests", ["time"])
    op.create_table(
        "operations",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("id", sa.String, nullable=False, unique=True),
        sa.Column("kind", sa.Integer, nullable=False),
        sa.Column("state", sa.Integer, nullable=False),
        sa.Column("done", sa.BigInteger, nullable=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("error_code", sa.Integer, nullable=False),
        sa.Column("error_message", sa.Text, nullable=False),
        sa.Column("arguments", sa.Text, nullable=False),
        sa.Column("snapshot_id", sa.String, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("update_time", sa.BigInteger, nullable=False),
    )
