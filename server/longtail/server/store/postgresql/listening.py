"""Hears what other servers committed, the moment that they did."""

from collections.abc import AsyncIterator

import psycopg
from longtail.server.store.postgresql.connecting import Address
from longtail.server.store.postgresql.failures import plain

# Their effect comes with the commit of their transaction.
ANNOUNCE = "SELECT pg_notify('longtail', revision::text) FROM sequence"


async def listen(address: Address) -> AsyncIterator[int]:
    """Yield the revision of the store after each write, this process's too, until cancelled.

    Raises Unavailable when the connection is lost: what was written since is then not heard of.
    """
    try:
        connection = await psycopg.AsyncConnection.connect(**address.parameters, autocommit=True)
        async with connection:
            await connection.execute("LISTEN longtail")
            async for notification in connection.notifies():
                yield int(notification.payload)
    except psycopg.Error as error:
        told = plain(error)
        if told is None:
            raise
        raise told from error
