"""What keeps an idle connection alive, or ends it: pings, counted between a client and a server."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# The shortest that gRPC takes. A server that does not allow it ends a connection at the fourth.
PING_MS = 1000
PINGS = 5


class PingCounter:
    """Stands between a client and a server, and counts the pings that the client has answered."""

    def __init__(self, port: int) -> None:
        self.address = ""
        self._port = port
        self.connections = 0
        self.enough = asyncio.Event()
        self._pings = itertools.count(1)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._forwarded(reader, onward_writer))
                group.create_task(self._frames(onward_reader, writer))
        except* (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            onward_writer.close()

    async def _forwarded(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while content := await reader.read(2**16):
            writer.write(content)
        raise ConnectionError

    async def _frames(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            # RFC 9113: length (3 bytes), type, flags, stream (4 bytes).
            head = await reader.readexactly(9)
            writer.write(head + await reader.readexactly(int.from_bytes(head[:3], "big")))
            acknowledged = head[3:5] == b"\x06\x01"
            if acknowledged and next(self._pings) >= PINGS:
                self.enough.set()


@asynccontextmanager
async def counted(port: int) -> AsyncIterator[PingCounter]:
    """Stand, at the counter's `address`, before a server that listens on `port`."""
    counter = PingCounter(port)
    async with await asyncio.start_server(counter.connected, "127.0.0.1", 0) as between:
        counter.address = "{}:{}".format(*between.sockets[0].getsockname())
        yield counter
