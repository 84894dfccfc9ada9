"""Leases on parts of a change of encoder: who encodes which, on however many machines."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from longtail.server.store.operations import ENDED
from longtail.server.store.schema import encode_leases, encode_refusals, items, operations
from longtail.server.store.transaction import Transaction
from sqlalchemy import (
    ColumnElement,
    Engine,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)


@dataclass(frozen=True)
class TextRange:
    """Items of the revisions from `after`, exclusive, to `last`: `texts` are to be encoded."""

    after: int
    last: int
    texts: int


@dataclass(frozen=True)
class Lease:
    """A range of an operation's texts, and its `holder`; nobody's where that is empty.

    `done` of its `texts` are dealt with. `beat` grows with every sign of life of the holder.
    """

    operation_id: str
    encoder_id: int
    after: int
    last: int
    texts: int
    done: int
    holder: str
    beat: int


@dataclass(frozen=True)
class Refusal:
    """Why an encoder makes no vector of an item's version: a gRPC status."""

    revision: int
    code: int
    message: str


class LeaseLost(Exception):
    """Another has taken the lease over, or the operation has ended."""


_LEASE = [encode_leases.c[name] for name in Lease.__dataclass_fields__]


class LeaseRecords:
    """The leases of operations that have not ended. Writes run in the caller's transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def begin(self, tx: Transaction, operation_id: str) -> None:
        """Forget what is of other operations; one that is taken up goes on where it was."""
        for table in (encode_leases, encode_refusals):
            tx.execute(delete(table).where(table.c.operation_id != operation_id))

    def end(self, tx: Transaction, operation_id: str) -> None:
        """Forget what is of an operation."""
        for table in (encode_leases, encode_refusals):
            tx.execute(delete(table).where(table.c.operation_id == operation_id))

    def divided(self, operation_id: str, tx: Transaction | None = None) -> int:
        """Return the revision up to which an operation is divided; 0 before the first range.

        As the transaction sees it, where one is given.
        """
        if tx is None:
            with self._engine.connect() as connection:
                return self.divided(operation_id, connection)
        query = select(func.max(encode_leases.c.last))
        found = tx.execute(query.where(encode_leases.c.operation_id == operation_id))
        return int(found.scalar_one() or 0)

    def divide(
        self, tx: Transaction, operation_id: str, encoder_id: int, ranges: Sequence[TextRange]
    ) -> bool:
        """Add ranges that whoever encodes may take; return whether they were added.

        Not where others went on from the same revision: who loses an office may find out late.
        """
        if self.divided(operation_id, tx) != ranges[0].after:
            return False
        common = {
            "operation_id": operation_id,
            "encoder_id": encoder_id,
            "done": 0,
            "holder": "",
            "beat": 0,
            "finished": False,
        }
        tx.execute(insert(encode_leases), [vars(each) | common for each in ranges])
        return True

    def unfinished(self) -> list[Lease]:
        """Return the ranges that are not finished, held or not, in the order of revisions."""
        query = select(*_LEASE).where(_open()).order_by(encode_leases.c.last)
        with self._engine.connect() as connection:
            return [Lease(*row) for row in connection.execute(query)]

    def take(self, tx: Transaction, holder: str, dead: Collection[Lease]) -> Lease | None:
        """Take the first range that nobody holds, or the holder of which is `dead`, as it was seen.

        None when there is none any more.
        """
        last, beat = encode_leases.c.last, encode_leases.c.beat
        abandoned = [and_(last == lease.last, beat == lease.beat) for lease in dead]
        free = or_(encode_leases.c.holder == "", *abandoned)
        # A transaction that writes has the lock of all writers: no two take the same.
        chosen = select(last).where(_open(), free).order_by(last).limit(1).scalar_subquery()
        statement = (
            update(encode_leases)
            .where(_open(), last == chosen)
            .values(holder=holder, beat=beat + 1)
        )
        row = tx.execute(statement.returning(*_LEASE)).first()
        return None if row is None else Lease(*row)

    def beat(self, tx: Transaction, holder: str) -> None:
        """Give a sign of life for all that somebody holds."""
        theirs = encode_leases.c.holder == holder, _open()
        tx.execute(update(encode_leases).where(*theirs).values(beat=encode_leases.c.beat + 1))

    def advance(self, tx: Transaction, lease: Lease, done: int, goal: int) -> None:
        """Count `done` more texts as dealt with; the range is finished at the `goal`.

        Raises LeaseLost.
        """
        advanced = encode_leases.c.done + done
        statement = (
            update(encode_leases)
            .where(_same(lease), encode_leases.c.holder == lease.holder, _open())
            .values(done=advanced, beat=encode_leases.c.beat + 1, finished=advanced >= goal)
        )
        if not tx.execute(statement).rowcount:
            raise LeaseLost

    def give_back(self, tx: Transaction, holder: str) -> None:
        """Leave to others all that somebody holds."""
        theirs = encode_leases.c.holder == holder, _open()
        tx.execute(update(encode_leases).where(*theirs).values(holder=""))

    def refuse(self, tx: Transaction, operation_id: str, refused: Mapping[str, Refusal]) -> None:
        """Note items' versions that no vector can be made of, by item."""
        rows = [
            {"operation_id": operation_id, "item_id": item_id, **vars(refusal)}
            for item_id, refusal in refused.items()
        ]
        if rows:
            again = (
                encode_refusals.c.operation_id == operation_id,
                encode_refusals.c.item_id.in_(refused),
            )
            tx.execute(delete(encode_refusals).where(*again))
            tx.execute(insert(encode_refusals), rows)

    def refused(
        self, operation_id: str, limit: int, tx: Transaction | None = None
    ) -> tuple[int, dict[str, Refusal]]:
        """Return of how many items the current version was refused, and the first by item.

        As the transaction sees it, where one is given.
        """
        if tx is None:
            with self._engine.connect() as connection:
                return self.refused(operation_id, limit, connection)
        refused = encode_refusals.c
        theirs = refused.operation_id == operation_id
        count = select(func.count()).select_from(encode_refusals.join(items, _current()))
        first = (
            select(refused.item_id, refused.revision, refused.code, refused.message)
            .join(items, _current())
            .where(theirs)
            .order_by(refused.revision)
            .limit(limit)
        )
        found = {item_id: Refusal(*rest) for item_id, *rest in tx.execute(first)}
        return int(tx.execute(count.where(theirs)).scalar_one()), found


def _open() -> ColumnElement[bool]:
    ended = select(operations.c.id).where(operations.c.state.in_(ENDED))
    return and_(~encode_leases.c.finished, encode_leases.c.operation_id.not_in(ended))


def _same(lease: Lease) -> ColumnElement[bool]:
    return and_(
        encode_leases.c.operation_id == lease.operation_id, encode_leases.c.last == lease.last
    )


def _current() -> ColumnElement[bool]:
    return and_(
        items.c.id == encode_refusals.c.item_id,
        items.c.revision == encode_refusals.c.revision,
        ~items.c.removed,
    )
