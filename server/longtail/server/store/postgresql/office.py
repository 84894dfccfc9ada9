"""One of all servers of a store maintains it: who holds a lock that ends with its connection."""

import logging
from contextlib import suppress
from typing import Any

import psycopg
from longtail.server.store.postgresql.connecting import Address

logger = logging.getLogger(__name__)

# Beside that of the migrations.
LOCK = 0x4C6F6E677461696D


class MaintenanceLock:
    """The lock, of one process. For one thread at a time."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection: psycopg.Connection[Any] | None = None
        self._held = False

    def hold(self) -> bool:
        """Take the lock if it is free; return whether it is held, which was found out just now.

        Without the database nobody holds it.
        """
        try:
            if self._connection is None:
                self._connection = self._address.connect(autocommit=True)
            if self._held:
                self._connection.execute("SELECT 1")
            else:
                taken = self._connection.execute(f"SELECT pg_try_advisory_lock({LOCK})").fetchone()
                self._held = taken is not None and bool(taken[0])
        except psycopg.Error:
            self.release()
        return self._held

    def release(self) -> None:
        """Give the lock back, and the connection."""
        connection, self._connection, self._held = self._connection, None, False
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()
