"""A load test from begin to end: what is asked with, the trials, and what is left behind."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from longtail.client import AsyncLongtailClient, LongtailError
from longtail.v1.item_service_pb2 import ImportItemsResponse

from loadtest.material import Material, gather
from loadtest.objectives import Objective
from loadtest.open_loop import Schedule
from loadtest.processes import watching
from loadtest.scenarios import MARK, Operation, Scenario, copy_of, marked_items, marked_users
from loadtest.scenarios import operations as operations_of
from loadtest.target import Ask, connect, is_loopback, run
from loadtest.trial import Trial, trial_of

# What is imported as one stream, and what is removed at a time.
IMPORT, BATCH = 500, 1_000
_IMPORTED = f"{MARK}import-"


@dataclass(frozen=True)
class Asked:
    """What a load test is told: scenario, addresses, files to ask with, and how to connect."""

    scenario: Scenario
    address: str
    worker_address: str
    data: Path | None
    queries: Path | None
    users: Path | None
    connections: int
    deadline_seconds: float


class Load:
    """Makes trials over connections that stay open; each goes on where the one before ended."""

    def __init__(
        self,
        asked: Asked,
        client: AsyncLongtailClient,
        server: str,
        material: Material,
        connections: Sequence[Ask],
    ) -> None:
        self.server = server
        self._asked = asked
        self._client = client
        self._material = material
        self._connections = connections
        self._operations: Iterator[Operation] = operations_of(asked.scenario, material)
        self._stream: asyncio.Future[ImportItemsResponse] | None = None
        self.imported = 0

    async def trial(self, schedule: Schedule, objectives: Sequence[Objective]) -> Trial:
        """Load the server as scheduled, and return what was seen."""
        addresses = {"server": self._asked.address, "worker": self._asked.worker_address}
        local = {name: each for name, each in addresses.items() if is_loopback(each)}
        before = self.imported
        async with watching(local) as watch:
            if self._asked.scenario is Scenario.IMPORT:
                async with self._importing():
                    measured = await run(schedule, self._operations, self._connections)
            else:
                measured = await run(schedule, self._operations, self._connections)
        imports = self._asked.scenario is Scenario.IMPORT
        imported = self.imported - before if imports else None
        return trial_of(schedule, measured, objectives, watch, imported)

    @asynccontextmanager
    async def _importing(self) -> AsyncIterator[None]:
        """Import items, one stream after another, until the block ends."""
        done = asyncio.Event()

        async def imports() -> None:
            supply = cycle(self._material.items)
            while not done.is_set():
                first = self.imported
                items = islice(supply, IMPORT)
                self.imported += IMPORT
                copies = [
                    copy_of(item, f"{_IMPORTED}{first + at}") for at, item in enumerate(items)
                ]
                self._stream = asyncio.ensure_future(self._client.import_items(copies))
                # Given up, it might be written after it was removed.
                await asyncio.shield(self._stream)

        async with asyncio.TaskGroup() as group:
            group.create_task(imports())
            try:
                yield
            finally:
                done.set()

    async def clean(self) -> None:
        """Remove what the trials wrote."""
        if not self._asked.scenario.writes:
            return
        if self._stream is not None:
            with suppress(LongtailError):
                await self._stream
        written = [*marked_items(), *(f"{_IMPORTED}{number}" for number in range(self.imported))]
        for start in range(0, len(written), BATCH):
            await self._client.delete_items(written[start : start + BATCH])
        for user_id in marked_users():
            await self._client.delete_user_data(user_id)


@asynccontextmanager
async def serving(asked: Asked) -> AsyncIterator[Load]:
    """Connect, and learn what there is to ask with; in the end remove what was written.

    Raises MaterialError, and LongtailError when there is no server.
    """
    async with AsyncLongtailClient(asked.address, timeout=asked.deadline_seconds) as client:
        # Fails here and now when there is no server to be loaded.
        info = await client.server_info()
        material = await gather(client, asked.data, asked.queries, asked.users)
        async with connect(
            asked.address,
            connections=asked.connections,
            deadline_seconds=asked.deadline_seconds,
        ) as connections:
            load = Load(asked, client, info.version, material, connections)
            try:
                yield load
            finally:
                await load.clean()
