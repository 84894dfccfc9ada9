"""The servers of a combination: one, and where the store is shared another beside it."""

import signal
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.request import urlopen

from longtail.client import LongtailClient
from longtail.v1.admin_service_pb2 import OperationState

from tests import processes
from tests.conformance.combinations import Combination
from tests.faults.items import batches
from tests.faults.stores import wait_for

DELETED_AT_ONCE = 1000
# An engine builds a graph of thousands beside whatever else the machine does.
OPERATION_SECONDS = 600.0


@dataclass
class Server:
    """One server, which comes back to its address after it was ended."""

    home: Path
    worker_address: str
    variables: Mapping[str, str]
    address: str = field(default_factory=processes.free_address)
    metrics_address: str = field(default_factory=processes.free_address)

    def __enter__(self) -> Self:
        self.home.mkdir(parents=True, exist_ok=True)
        self._stack = ExitStack()
        self.client = self._stack.enter_context(LongtailClient(self.address))
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def start(self) -> None:
        """Start it, and wait until it serves."""
        self.running = self._stack.enter_context(
            processes.server(
                self.home,
                self.worker_address,
                address=self.address,
                **{**self.variables, "LONGTAIL_SERVER_METRICS_ADDRESS": self.metrics_address},
            )
        )
        self.client.wait_until_serving(timeout=processes.PATIENCE_SECONDS)

    def metric(self, name: str) -> float:
        """Return what one of its metrics without labels is now."""
        with urlopen(f"http://{self.metrics_address}/metrics", timeout=30) as answer:
            (line,) = (
                line for line in answer.read().decode().splitlines() if line.startswith(f"{name} ")
            )
        return float(line.split()[1])

    def restart(self, number: int = signal.SIGTERM) -> None:
        """End it by a signal, and start it again."""
        self.running.stop(number)
        self.start()


@dataclass(frozen=True)
class Deployment:
    """The servers of a combination, `others` on the same store as the first."""

    combination: Combination
    first: Server
    others: tuple[Server, ...] = ()

    @property
    def servers(self) -> tuple[Server, ...]:
        """All of them."""
        return (self.first, *self.others)

    @property
    def client(self) -> LongtailClient:
        """A client of the first."""
        return self.first.client

    @property
    def clients(self) -> list[LongtailClient]:
        """A client of each."""
        return [server.client for server in self.servers]

    def clear(self) -> None:
        """Delete all items and vector spaces."""
        ids = [item.id for item in self.client.list_items(page_size=DELETED_AT_ONCE)]
        for batch in batches(ids, DELETED_AT_ONCE):
            self.client.delete_items(batch)
        for space in self.client.list_vector_spaces().vector_spaces:
            self.client.delete_vector_space(space.name)

    def rebuild(self) -> None:
        """Build the index anew, and wait for it."""
        self.finish(self.client.rebuild_index().operation.id)

    def finish(self, operation_id: str) -> None:
        """Wait until an operation has succeeded; fail when it fails."""
        wait_for(lambda: self.has_ended(operation_id), seconds=OPERATION_SECONDS)

    def has_ended(self, operation_id: str) -> bool:
        """Return whether an operation has succeeded; fail when it has failed."""
        operation = self.client.get_operation(operation_id).operation
        assert operation.state != OperationState.OPERATION_STATE_FAILED, operation.error
        return operation.state == OperationState.OPERATION_STATE_SUCCEEDED
