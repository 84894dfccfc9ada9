"""What goes on in the background, kept so that it outlives the process."""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from longtail.server.store.clock import bring_back, now
from longtail.server.store.json_object import decode_object, encode_object
from longtail.server.store.records import Operation, OperationKind, OperationState
from longtail.server.store.schema import operations
from longtail.server.store.transaction import Transaction
from longtail.server.store.upsert import insert
from sqlalchemy import Engine, Row, delete, select, update

ENDED = (OperationState.SUCCEEDED, OperationState.FAILED)


class OperationRecords:
    """The operations. Writes run in the caller's transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(
        self, tx: Transaction, kind: OperationKind, arguments: Mapping[str, Any]
    ) -> Operation:
        """Add a pending operation; `arguments`, a JSON object, is what it needs to begin anew."""
        moment = now()
        operation = Operation(
            id=uuid.uuid4().hex,
            kind=kind,
            state=OperationState.PENDING,
            done=0,
            total=0,
            error_code=0,
            error_message="",
            arguments=arguments,
            snapshot_id="",
            create_time=moment,
            update_time=moment,
        )
        tx.execute(insert(operations).values(_row(operation)))
        return operation

    def pending_or_new(self, tx: Transaction, kind: OperationKind) -> Operation:
        """Return the operation of a kind without arguments that has not begun; a new one if none.

        An operation that begins says so in a transaction before it does anything.
        """
        theirs = operations.c.kind == kind, operations.c.state == OperationState.PENDING
        row = tx.execute(select(operations).where(*theirs)).first()
        return self.create(tx, kind, {}) if row is None else _operation(row)

    def update(self, tx: Transaction, operation: Operation) -> Operation:
        """Write how an operation stands now; return it with the time of that.

        One that has ended stays as it is: who was in office before may not know yet that it is not.
        """
        updated = replace(operation, update_time=now())
        under_way = operations.c.id == operation.id, operations.c.state.not_in(ENDED)
        tx.execute(update(operations).where(*under_way).values(_row(updated)))
        return updated

    def get(self, operation_id: str) -> Operation | None:
        """Return an operation; None if there is none."""
        query = select(operations).where(operations.c.id == operation_id)
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        return None if row is None else _operation(row)

    def unfinished(self) -> list[Operation]:
        """Return the operations that have not ended, in the order of their creation."""
        query = select(operations).where(operations.c.state.not_in(ENDED))
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(operations.c.number))
            return [_operation(row) for row in rows]

    def prune(self, tx: Transaction, before_time: int) -> int:
        """Forget the operations that ended before a time; return how many.

        What ended before the clock was set back counts as having ended now.
        """
        bring_back(tx, operations.c.update_time)
        ended = operations.c.state.in_(ENDED), operations.c.update_time < before_time
        return tx.execute(delete(operations).where(*ended)).rowcount


def _row(operation: Operation) -> dict[str, Any]:
    return vars(operation) | {
        "arguments": encode_object(operation.arguments),
        "refusals": encode_object(operation.refusals),
    }


def _operation(row: Row[Any]) -> Operation:
    stored = {name: value for name, value in row._mapping.items() if name != "number"}
    return Operation(
        **stored
        | {
            "kind": OperationKind(row.kind),
            "state": OperationState(row.state),
            "arguments": decode_object(row.arguments),
            "refusals": decode_object(row.refusals),
        }
    )
