"""What each API key has stored, read by a command beside the servers, which migrates nothing."""

from collections.abc import Sequence
from typing import Any

import psycopg
from longtail.runtime.errors import Unavailable
from longtail.server.store.postgresql.connecting import Address


def usage_rows(url: str) -> Sequence[tuple[Any, ...]]:
    """Return key, items, day and events of each, as the table has them; nothing without a store.

    Raises Unavailable.
    """
    address = Address(url)
    try:
        with address.connect() as connection:
            found = connection.execute("SELECT to_regclass('usage')").fetchone()
            if found is None or found[0] is None:
                return ()
            query = "SELECT key, item_count, day, event_count FROM usage"
            return connection.execute(query).fetchall()
    except psycopg.Error as error:
        said = " ".join(str(error).split())
        raise Unavailable(f"{address.name}: {said}") from error
