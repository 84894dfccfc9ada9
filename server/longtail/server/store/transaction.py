"""The transaction that the writing methods of the store run in."""

from typing import TypeAlias

from sqlalchemy import Connection

# Opaque to callers: GroupCommit hands it to their writes, and they hand it on.
Transaction: TypeAlias = Connection
