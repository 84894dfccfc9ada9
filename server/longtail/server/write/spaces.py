"""Vector spaces beside the encoder's, declared and deleted by whoever looks after the catalogue."""

import asyncio
from functools import partial

from longtail.server.process.audit import Audit
from longtail.server.store.group_commit import GroupCommit
from longtail.server.store.record_store import RecordStore
from longtail.server.store.records import VectorSpace


class VectorSpaces:
    """The vector spaces of the catalogue."""

    def __init__(self, store: RecordStore, commit: GroupCommit, audit: Audit) -> None:
        self._store = store
        self._commit = commit
        self._audit = audit

    async def create(self, name: str, dimension: int) -> tuple[VectorSpace, int]:
        """Declare a space; return it, and the revision that holds it. Raises FailedPrecondition."""
        declare = partial(self._store.spaces.declare, name=name, dimension=dimension)
        space, revision = await asyncio.wrap_future(self._commit.submit(declare))
        # Its id is the revision that it was declared at: it may have been there before.
        if space.id == revision:
            self._audit.tell("vector space created", name=name, dimension=dimension)
        return space, revision

    def all(self) -> tuple[VectorSpace, ...]:
        """Return the spaces in the order of their names. Reads the store."""
        return self._store.changes.vector_spaces()

    async def delete(self, name: str) -> int:
        """Delete a space; return the revision from which on there is none. Raises NotFound."""
        delete = partial(self._store.spaces.delete, name=name)
        revision = await asyncio.wrap_future(self._commit.submit(delete))
        self._audit.tell("vector space deleted", name=name)
        return revision
