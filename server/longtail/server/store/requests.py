"""Requests that were answered, so that a repetition gets the first answer."""

from longtail.server.store.clock import bring_back, now
from longtail.server.store.records import RecordedRequest
from longtail.server.store.schema import requests
from longtail.server.store.transaction import Transaction
from longtail.server.store.upsert import insert
from sqlalchemy import Engine, delete, select


class RequestRecords:
    """The answered requests. What takes a transaction runs in that of the write to be answered."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self, request_id: str) -> RecordedRequest | None:
        """Return what `find` does, as of the last commit, beside the writers."""
        with self._engine.connect() as connection:
            return self.find(connection, request_id)

    def find(self, tx: Transaction, request_id: str) -> RecordedRequest | None:
        """Return the request that was answered under an id; None if none was."""
        row = tx.execute(select(requests).where(requests.c.request_id == request_id)).first()
        return None if row is None else RecordedRequest(row.method, row.digest, row.reply)

    def record(
        self, tx: Transaction, request_id: str, method: str, digest: bytes, reply: bytes
    ) -> None:
        """Keep the answer of a request whose id is new."""
        tx.execute(
            insert(requests).values(
                request_id=request_id, method=method, digest=digest, reply=reply, time=now()
            )
        )

    def prune(self, tx: Transaction, before_time: int, limit: int) -> int:
        """Forget up to `limit` requests answered before a time, the oldest first; return how many.

        What was recorded before the clock was set back counts as recorded now.
        """
        bring_back(tx, requests.c.time)
        oldest = (
            select(requests.c.request_id)
            .where(requests.c.time < before_time)
            .order_by(requests.c.time)
            .limit(limit)
        )
        return tx.execute(delete(requests).where(requests.c.request_id.in_(oldest))).rowcount
