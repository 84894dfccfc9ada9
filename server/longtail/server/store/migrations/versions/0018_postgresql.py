"""What PostgreSQL does otherwise than SQLite: the order of texts, and the decay of sums."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Have texts be in the order of their bytes, and add `decayed`, which SQLite gets elsewhere."""
    if op.get_bind().dialect.name != "postgresql":
        return
    inspector = sa.inspect(op.get_bind())
    for table in inspector.get_table_names():
        changes = [
            f'ALTER COLUMN "{column["name"]}" TYPE {column["type"]} COLLATE "C"'
            for column in inspector.get_columns(table)
            if isinstance(column["type"], sa.String) and column["type"].collation != "C"
        ]
        if changes:
            op.execute(f'ALTER TABLE "{table}" {", ".join(changes)}')
    # Where it rounds to nothing PostgreSQL's power would fail.
    op.execute(
        "CREATE FUNCTION decayed(mass double precision, age bigint, half_life double precision)"
        " RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN"
        " CASE WHEN mass = 0 OR age / half_life > 900 THEN 0"
        " ELSE mass * power(2::double precision, -age / half_life) END"
    )
