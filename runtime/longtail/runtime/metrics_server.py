"""`/metrics` over HTTP, from one thread: whoever connects, however often, takes no more than that.

A connection has one request, of bounded size, within a bounded time. When there are too many, the
one that has waited longest makes room, so that who asks and reads is answered all the same.
"""

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
import threading
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from typing import Any

from longtail.runtime.errors import ServiceError
from longtail.runtime.keys import HEADER, KeyRing
from longtail.runtime.listening import CannotListen, ListenAddress
from longtail.runtime.tls import FollowedFiles, TlsFiles
from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder

logger = logging.getLogger(__name__)

MAX_CONNECTIONS = 64
MAX_REQUEST_BYTES = 8 * 1024
SECONDS = 5.0
FOLLOW_SECONDS = ACCEPT_AGAIN_SECONDS = 1.0


def start_metrics(
    address: ListenAddress, *, tls: TlsFiles | None = None, keys: KeyRing | None = None
) -> None:
    """Serve `/metrics` on `address` from a thread of its own; raise CannotListen.

    Encrypted with `tls`; where there are `keys`, to who has one, as `Authorization: Bearer KEY`.
    Raises TlsError too.
    """
    followed = None if tls is None else FollowedFiles(tls)
    try:
        listeners = _listeners(address)
    except (OSError, UnicodeError) as error:
        raise CannotListen(address, error) from error
    server = _MetricsServer(keys, followed)
    thread = threading.Thread(
        target=lambda: asyncio.run(server.serve(listeners)), name="metrics", daemon=True
    )
    thread.start()


def _listeners(address: ListenAddress) -> list[socket.socket]:
    """Listen on every address of a name that this machine has."""
    found = socket.getaddrinfo(address.bare_host, address.port, type=socket.SOCK_STREAM)
    listeners, failure = [], OSError("no such address on this machine")
    for family, _, _, _, target in found:
        try:
            listeners.append(_listener(family, target))
        except OSError as error:
            failure = error
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                raise
    if not listeners:
        raise failure
    return listeners


def _listener(family: int, target: tuple[Any, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(target)
        listener.listen(MAX_CONNECTIONS)
    except OSError:
        listener.close()
        raise
    return listener


class _MetricsServer:
    def __init__(self, keys: KeyRing | None, tls: FollowedFiles | None) -> None:
        self._keys, self._tls = keys, tls
        self._context: ssl.SSLContext | None = None
        if tls is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.files.load_into(self._context)
        # In the order in which they came.
        self._connections: dict[asyncio.Task[None], None] = {}

    async def serve(self, listeners: Sequence[socket.socket]) -> None:
        await asyncio.gather(self._follow(), *(self._accept(each) for each in listeners))

    async def _accept(self, listener: socket.socket) -> None:
        listener.setblocking(False)
        while True:
            try:
                connection, _ = await asyncio.get_running_loop().sock_accept(listener)
            except OSError as error:
                # There may be no file descriptors left at the moment.
                logger.warning("metrics not answered error=%s", error)
                await asyncio.sleep(ACCEPT_AGAIN_SECONDS)
                continue
            task = asyncio.create_task(self._answer_once(connection))
            self._connections[task] = None
            task.add_done_callback(partial(self._ended, connection))
            if len(self._connections) > MAX_CONNECTIONS:
                oldest = next(iter(self._connections))
                del self._connections[oldest]
                oldest.cancel()

    def _ended(self, connection: socket.socket, task: "asyncio.Task[None]") -> None:
        self._connections.pop(task, None)
        # One that was let go before it began has not closed it.
        connection.close()

    async def _follow(self) -> None:
        """Have new connections shown what the files hold."""
        while self._tls is not None and self._context is not None:
            await asyncio.sleep(FOLLOW_SECONDS)
            if self._tls.refresh():
                try:
                    self._tls.files.load_into(self._context)
                except OSError as error:
                    # They changed again meanwhile, which the next look finds.
                    logger.warning("certificate of metrics not changed: %s", error)

    async def _answer_once(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=MAX_REQUEST_BYTES)
        protocol = asyncio.StreamReaderProtocol(reader)
        # What ends it is what the caller does, or does not.
        with contextlib.suppress(OSError, EOFError, asyncio.LimitOverrunError):
            async with asyncio.timeout(SECONDS):
                transport, _ = await loop.connect_accepted_socket(
                    lambda: protocol, connection, ssl=self._context
                )
                try:
                    writer = asyncio.StreamWriter(transport, protocol, reader, loop)
                    writer.write(self._answer(await reader.readuntil(b"\r\n\r\n")))
                    writer.close()
                    await writer.wait_closed()
                finally:
                    transport.abort()

    def _answer(self, head: bytes) -> bytes:
        line, *lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (each.partition(":") for each in lines)
        }
        method, _, target = line.partition(" ")
        if method != "GET":
            return _response(HTTPStatus.METHOD_NOT_ALLOWED)
        if self._keys is not None and self._keys.closed:
            try:
                self._keys.caller([(HEADER, headers.get(HEADER, ""))])
            except ServiceError:
                return _response(HTTPStatus.UNAUTHORIZED)
        if target.partition(" ")[0].partition("?")[0] != "/metrics":
            return _response(HTTPStatus.NOT_FOUND)
        encode, content_type = choose_encoder(headers.get("accept", ""))
        return _response(HTTPStatus.OK, encode(REGISTRY), content_type)


def _response(status: HTTPStatus, body: bytes = b"", content_type: str = "text/plain") -> bytes:
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("latin-1") + body
