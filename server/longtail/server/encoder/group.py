"""The workers of a server, which come and go, and which encoder each of them has."""

import asyncio
from collections.abc import Coroutine

from longtail.server.encoder.addresses import Resolve, current_addresses, parse_addresses, resolve
from longtail.server.encoder.worker import Security, Worker
from longtail.server.store.records import EncoderBinding

RESOLVE_SECONDS = 5.0


class WorkerGroup:
    """Follows the workers at `addresses`, in the order of the list, while entered as a context.

    Raises ValueError when `addresses` is no list of them.
    """

    def __init__(
        self, addresses: str, resolve: Resolve = resolve, security: Security | None = None
    ) -> None:
        self.addresses = parse_addresses(addresses)
        self._security = security
        self._resolve = resolve
        self._workers: list[Worker] = []
        self._followers: dict[Worker, asyncio.Task[None]] = {}
        self._renewal: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    async def __aenter__(self) -> "WorkerGroup":
        await self._renew()
        self._renewal = self._start(self._keep_renewing())
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = self._tasks()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def usable(self, binding: EncoderBinding) -> list[Worker]:
        """Return the workers that serve with that encoder."""
        return [w for w in self._workers if w.serving and w.model == binding]

    def strangers(self, binding: EncoderBinding) -> frozenset[tuple[str, EncoderBinding]]:
        """Return (address, encoder) of the workers that have another encoder."""
        return frozenset(
            (worker.address, worker.model)
            for worker in self._workers
            if worker.model not in (None, binding)
        )

    def models(self) -> list[EncoderBinding | None]:
        """Return the encoder of each worker, None for one that is away."""
        return [worker.model for worker in self._workers]

    async def changed(self) -> None:
        """Wait for news of the workers; raise what ended the following of one."""
        # One may have ended while nobody waited.
        self._raise_failure()
        await self._news.wait()
        self._raise_failure()

    def _learn(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _keep_renewing(self) -> None:
        while True:
            await asyncio.sleep(RESOLVE_SECONDS)
            await self._renew()

    async def _renew(self) -> None:
        security = self._security
        if security is not None and await asyncio.to_thread(security.files.refresh):
            for worker in self._workers:
                worker.reconnect()
        known = {worker.address: worker for worker in self._workers}
        current = await current_addresses(self.addresses, list(known), self._resolve)
        self._workers = [
            known.pop(address) if address in known else Worker(address, self._learn, self._security)
            for address in current
        ]
        for gone in known.values():
            self._followers.pop(gone).cancel()
        for worker in self._workers:
            if worker not in self._followers:
                self._followers[worker] = self._start(worker.follow())
        self._learn()

    def _start(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        # Whoever waits for news must hear of the end of a task that should have none.
        task.add_done_callback(lambda _: self._learn())
        return task

    def _raise_failure(self) -> None:
        for task in self._tasks():
            if task.done():
                task.result()

    def _tasks(self) -> list["asyncio.Task[None]"]:
        return [*self._followers.values(), *([self._renewal] if self._renewal else [])]
