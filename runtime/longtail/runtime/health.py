"""`grpc.health.v1` with refusals of our own: who watches is told of each change."""

import asyncio
from collections.abc import AsyncGenerator, Callable

from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from longtail.runtime.errors import NotFound

SERVICE = "grpc.health.v1.Health"

Response = health_pb2.HealthCheckResponse
# Younger than what tells the type checker of the contract.
_LISTED: Callable[..., Message] = getattr(health_pb2, "HealthListResponse")  # noqa: B009


class HealthServicer(health_pb2_grpc.HealthServicer):
    """Tells the status of each service that `set` named, until `stop`."""

    def __init__(self) -> None:
        self._statuses: dict[str, int] = {}
        self._stopped = False
        self._news = asyncio.Event()

    def set(self, service: str, serving: bool) -> None:
        """Say whether a service serves; nothing is heard of it after `stop`."""
        status = Response.SERVING if serving and not self._stopped else Response.NOT_SERVING
        if self._statuses.get(service) == status:
            return
        self._statuses[service] = status
        news, self._news = self._news, asyncio.Event()
        news.set()

    def stop(self) -> None:
        """Say that nothing serves from now on."""
        self._stopped = True
        for service in list(self._statuses):
            self.set(service, serving=False)

    async def Check(  # noqa: N802 (the contract has the name)
        self, request: health_pb2.HealthCheckRequest, _context: object
    ) -> health_pb2.HealthCheckResponse:
        """Return the status of a service; raise NotFound."""
        status = self._statuses.get(request.service)
        if status is None:
            raise NotFound("service", request.service)
        return Response(status=status)

    async def List(self, _request: object, _context: object) -> Message:  # noqa: N802 (as Check)
        """Return the status of every service."""
        statuses = {name: Response(status=status) for name, status in self._statuses.items()}
        return _LISTED(statuses=statuses)

    async def Watch(  # noqa: N802 (the contract has the name)
        self, request: health_pb2.HealthCheckRequest, _context: object
    ) -> AsyncGenerator[health_pb2.HealthCheckResponse, None]:
        """Yield the status of a service, which may be known later, and each that follows."""
        told = None
        while True:
            news = self._news
            status = self._statuses.get(request.service, Response.SERVICE_UNKNOWN)
            if status != told:
                told = status
                yield Response(status=status)
            await news.wait()
