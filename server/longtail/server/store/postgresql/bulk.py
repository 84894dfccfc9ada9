"""Many rows at once, by COPY."""

from collections.abc import Sequence
from typing import Any

import psycopg
from longtail.runtime.errors import FailedPrecondition
from longtail.server.store.postgresql.failures import plain
from sqlalchemy import Connection


def copy_in(connection: Connection, into: str, rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows into a table and its columns, `into`, in the transaction of the connection.

    Raises FailedPrecondition for a row that PostgreSQL cannot hold, and Unavailable.
    """
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(f"COPY {into} FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as error:
        if (told := plain(error)) is not None:
            raise told from error
        # The context that PostgreSQL tells of has the row in it.
        said = error.diag.message_primary or str(error)
        raise FailedPrecondition(f"PostgreSQL does not take a row of {into}: {said}") from None
