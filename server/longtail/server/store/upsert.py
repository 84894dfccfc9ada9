"""INSERT with ON CONFLICT, which SQLite and PostgreSQL write alike: one statement serves both."""

# Both compilers of SQLAlchemy take the clause of this one.
from sqlalchemy.dialects.postgresql import Insert, insert

__all__ = ["Insert", "insert"]
