"""A network between two processes that is cut as networks are: nothing closes, nothing comes."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CHUNK = 65_536


class Link:
    """Listens on 127.0.0.1:`port` and passes on to the port `to`, both ways, until it is cut.

    While it is cut it takes connections and bytes, as a system does for a peer that is away, and
    passes nothing on. What it took goes on its way when it is mended.
    """

    def __init__(self, to: int) -> None:
        self._to = to
        self._loop = asyncio.new_event_loop()
        self._whole = asyncio.Event()
        self._passing: set[asyncio.Task[None]] = set()
        self.port = 0

    def cut(self) -> None:
        """Pass nothing on from now on."""
        self._loop.call_soon_threadsafe(self._whole.clear)

    def mend(self) -> None:
        """Pass on again, what was held back first."""
        self._loop.call_soon_threadsafe(self._whole.set)

    @contextmanager
    def open(self) -> Iterator["Link"]:
        """Pass on until the block ends."""
        started = threading.Event()
        thread = threading.Thread(target=self._run, args=[started])
        thread.start()
        try:
            started.wait()
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._whole.set()
        listening = self._loop.run_until_complete(asyncio.start_server(self._take, "127.0.0.1", 0))
        self.port = int(listening.sockets[0].getsockname()[1])
        started.set()
        self._loop.run_forever()
        listening.close()
        for task in self._passing:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._passing, return_exceptions=True))
        self._loop.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._connect(reader, writer))
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._whole.wait()
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            # Nobody is there: so it is told.
            writer.transport.abort()
            return
        ways = [
            asyncio.ensure_future(self._pass(reader, far_writer)),
            asyncio.ensure_future(self._pass(far_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for end in (writer, far_writer):
                end.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK):
                await self._whole.wait()
                writer.write(chunk)
                await writer.drain()
