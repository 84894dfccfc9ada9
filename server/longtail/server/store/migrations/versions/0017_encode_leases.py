"""Leases on parts of a change of encoder, and what the coming encoder makes no vector of."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add the tables; a change under way divides what is left of it."""
    op.create_table(
        "encode_leases",
        sa.Column("operation_id", sa.String, primary_key=True),
        sa.Column("last", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("after", sa.BigInteger, nullable=False),
        sa.Column("encoder_id", sa.Integer, nullable=False),
        sa.Column("texts", sa.BigInteger, nullable=False),
        sa.Column("done", sa.BigInteger, nullable=False),
        sa.Column("holder", sa.String, nullable=False),
        sa.Column("beat", sa.BigInteger, nullable=False),
        sa.Column("finished", sa.Boolean, nullable=False),
    )
    unfinished = sa.text("NOT finished")
    op.create_index(
        "encode_leases_unfinished",
        "encode_leases",
        ["operation_id", "last"],
        sqlite_where=unfinished,
        postgresql_where=unfinished,
    )
    op.create_table(
        "encode_refusals",
        sa.Column("operation_id", sa.String, primary_key=True),
        sa.Column("item_id", sa.String, primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("code", sa.Integer, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
    )
