"""How far an operation has come: told by its work, from any thread, and kept by the runner."""

from collections.abc import Mapping
from dataclasses import replace

from longtail.runtime.errors import ServiceError
from longtail.server.catalogue.index.build import Stopped
from longtail.server.store.leases import Refusal
from longtail.server.store.records import Operation, OperationState

# Refusals that an operation tells.
REFUSALS_TOLD = 10


class Progress:
    """The state of one operation that runs."""

    def __init__(self, operation: Operation) -> None:
        # Begun again, it comes upon what was refused again.
        self._operation = replace(operation, state=OperationState.RUNNING, refused=0, refusals={})
        self._stopped = False

    @property
    def operation(self) -> Operation:
        """Return the operation as it stands."""
        return self._operation

    def count(self, done: int, total: int) -> None:
        """Say how many units are done, which also means that nothing is waited for.

        Raises Stopped when the work is to end: it may run in a thread, which cannot be cancelled.
        """
        if self._stopped:
            raise Stopped
        self._operation = replace(
            self._operation, done=done, total=total, error_code=0, error_message=""
        )

    def pass_over(self, count: int, first: Mapping[str, Refusal]) -> None:
        """Say how many items the work passes over so far, and why the `first`, by id."""
        refusals = {
            item_id: {"code": refusal.code, "message": refusal.message}
            for item_id, refusal in first.items()
        }
        self._operation = replace(self._operation, refused=count, refusals=refusals)

    def wait_for(self, error: ServiceError) -> None:
        """Say what keeps the work from going on for now."""
        self._operation = replace(
            self._operation, error_code=error.code.value[0], error_message=f"waiting: {error}"
        )

    def name_snapshot(self, snapshot_id: str) -> None:
        """Say which snapshot the operation made or checks."""
        self._operation = replace(self._operation, snapshot_id=snapshot_id)

    def stop(self) -> None:
        """End the work at the next unit."""
        self._stopped = True
