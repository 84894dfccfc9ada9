"""Run a gRPC server from start to drain: truthful health, reflection, signals, watched tasks."""

import asyncio
import logging
import signal
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health_pb2_grpc
from longtail.runtime import health
from longtail.runtime.freed_memory import give_back_freed_memory
from longtail.runtime.listening import CannotListen, ListenAddress
from longtail.runtime.message_size import MAX_MESSAGE_BYTES
from longtail.runtime.reflection import enable_reflection
from longtail.runtime.telemetry import SERVING
from longtail.runtime.tls import FollowedFiles, server_credentials

logger = logging.getLogger(__name__)

# Connections stay with the process that took them. Where several share a port, each connection is
# ended so often, without harm to its calls, so that one that starts later gets its part of them.
SHARED_CONNECTION_MS = 300_000
# How often a client may ask whether we are still there: gRPC's own default, five minutes and two
# hours without a call, ends the connections of all that ask more often. Clients may ask every 10 s,
# and what is sent on time may arrive closer together.
MIN_PING_MS = 5_000
# Calls and streams of one connection at a time: more of them wait at the client. What is refused
# or idle is ended sooner; this bounds what a connection holds until then.
MAX_STREAMS = 512
# Further connections are closed as they come; gRPC counts them of all clients together, and those
# that have not said a word too. So whoever has not come through TLS and HTTP/2's first frames in so
# long makes room, for which gRPC's default is two minutes, and so does one without a call, which
# by default may stay for ever. A client connects anew by itself with its next call.
MAX_CONNECTIONS = 4_096
HANDSHAKE_MS = 10_000
IDLE_MS = 300_000


class HealthBoard:
    """The health of each service of a process; the process as a whole, "", needs all of them.

    `parts` of it are shown beside the services, but it answers without them. They are well until
    something else is said.
    """

    def __init__(self, services: Sequence[str], parts: Sequence[str] = ()) -> None:
        self.servicer = health.HealthServicer()
        self._serving = dict.fromkeys(services, False)
        self._parts = dict.fromkeys(parts, True)

    async def set(self, service: str, serving: bool) -> None:
        """Say whether `service` can do its work now."""
        if self._serving[service] != serving:
            logger.info("health service=%s serving=%s", service, serving)
        self._serving[service] = serving
        await self.publish()

    async def set_part(self, part: str, well: bool) -> None:
        """Say whether `part` does its work now."""
        self._parts[part] = well
        await self.publish()

    async def set_all(self, serving: bool) -> None:
        """Say of every service whether it can do its work now."""
        for service in self._serving:
            await self.set(service, serving)

    async def publish(self) -> None:
        """Show the state to the clients of `grpc.health.v1`."""
        whole = {"": all(self._serving.values())}
        for service, serving in {**self._serving, **self._parts, **whole}.items():
            SERVING.labels(service or "all").set(serving)
            self.servicer.set(service, serving)


def new_server(
    interceptors: Sequence[grpc.aio.ServerInterceptor],
    board: HealthBoard,
    *,
    reuse_port: bool = False,
) -> grpc.aio.Server:
    """Create a server with health; the caller registers its services on it.

    `reuse_port` is for processes that share a port under one parent. Elsewhere two servers on one
    port would each get half of the calls, so that the second must fail.
    """
    shared = [("grpc.max_connection_age_ms", SHARED_CONNECTION_MS)] if reuse_port else []
    server = grpc.aio.server(
        interceptors=interceptors,
        options=[
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.so_reuseport", int(reuse_port)),
            # gRPC's documents call this by the name of its macro, min_recv_ping_interval, to which
            # no server listens.
            ("grpc.http2.min_ping_interval_without_data_ms", MIN_PING_MS),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.max_concurrent_streams", MAX_STREAMS),
            ("grpc.max_allowed_incoming_connections", MAX_CONNECTIONS),
            ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS),
            ("grpc.max_connection_idle_ms", IDLE_MS),
            *shared,
        ],
    )
    # For each call that arrives gRPC waits anew for the next one of every method that it was told
    # of, forty of ours. Of others it asks handlers, which the interceptor answers for.
    server.add_registered_method_handlers = _without_registering  # type: ignore[method-assign]
    health_pb2_grpc.add_HealthServicer_to_server(board.servicer, server)
    return server


def _without_registering(service_name: str, method_handlers: object) -> None:
    """Leave the methods of a service to its generic handler, which is added beside it."""


@dataclass(frozen=True)
class Listener:
    """A server of `new_server`, where it listens, and the names of its services, for reflection."""

    server: grpc.aio.Server
    address: ListenAddress
    services: Sequence[str]


async def serve(
    *listeners: Listener,
    board: HealthBoard,
    background: Mapping[str, Coroutine[None, None, None]],
    drain_seconds: float,
    stop_when: Coroutine[None, None, None] | None = None,
    tls: FollowedFiles | None = None,
) -> None:
    """Listen until SIGINT, SIGTERM or the end of `stop_when`, then drain.

    `background` are the tasks that the process lives by: when one of them ends or dies, the process
    stops too, and the failure is raised. The end of `stop_when` is no failure, only its death is.
    All of them begin once each listener listens, without encryption where there are no files for
    `tls`. Raises CannotListen.
    """
    await board.publish()
    try:
        for listener in listeners:
            _bind(listener, tls)
    except CannotListen:
        for coroutine in (*background.values(), *([stop_when] if stop_when else [])):
            coroutine.close()
        raise
    for listener in listeners:
        await listener.server.start()
        logger.info("listening address=%s tls=%s", listener.address, tls is not None)

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    stopping: list[asyncio.Task[Any]] = [asyncio.create_task(stop.wait(), name="signal")]
    if stop_when is not None:
        stopping.append(asyncio.create_task(stop_when, name="stop condition"))
    lasting = {**background, "memory": give_back_freed_memory()}
    tasks = [asyncio.create_task(task, name=name) for name, task in lasting.items()]
    every = [*stopping, *tasks]
    done, _ = await asyncio.wait(every, return_when=asyncio.FIRST_COMPLETED)

    logger.info("draining seconds=%s because=%s", drain_seconds, sorted(t.get_name() for t in done))
    board.servicer.stop()
    await asyncio.gather(*(listener.server.stop(drain_seconds) for listener in listeners))
    for task in every:
        task.cancel()
    await asyncio.gather(*every, return_exceptions=True)
    for task in done:
        task.result()
        if task in tasks:
            raise RuntimeError(f"background task {task.get_name()!r} ended")
    logger.info("stopped")


def _bind(listener: Listener, tls: FollowedFiles | None) -> None:
    enable_reflection(listener.server, [*listener.services, health.SERVICE])
    address = str(listener.address)
    try:
        if tls is None:
            listener.server.add_insecure_port(address)
        else:
            listener.server.add_secure_port(address, server_credentials(tls))
    except RuntimeError as error:
        raise CannotListen(listener.address, error) from error
