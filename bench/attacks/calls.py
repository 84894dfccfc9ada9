"""Attacks by calls: streams that do nothing, requests that are dear, and more than there is room.

Each takes what is attacked and for how many seconds, and returns what became of its calls.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import count, cycle
from typing import Any

import grpc
import numpy as np
from grpc_health.v1.health_pb2 import HealthCheckRequest
from longtail.v1 import admin_service_pb2 as admin
from longtail.v1 import item_service_pb2 as items
from longtail.v1 import recommendation_service_pb2 as recommendations
from longtail.v1.admin_service_pb2_grpc import AdminServiceStub
from longtail.v1.filter_pb2 import Condition, Filter, Operand
from longtail.v1.item_pb2 import Item

from bench.attacks.target import Outcome, Target, connected, keep_at, metadata
from bench.load import EMBED, open_loop
from bench.request.context import RECOMMEND, of_people
from loadtest.open_loop import Schedule

BATCH_RECOMMEND = "/longtail.v1.RecommendationService/BatchRecommend"
IMPORT, EXPORT = (f"/longtail.v1.ItemService/{name}Items" for name in ("Import", "Export"))
UPSERT = "/longtail.v1.ItemService/BatchUpsertItems"
WATCH = "/grpc.health.v1.Health/Watch"
STREAMS, IDLE_CALLS, IDLE_CONNECTIONS, WATCHES, SLOW_READERS = 260, 500, 4, 1000, 200
ELEMENTS, BOMBS, RULES, CONDITIONS, OPERANDS = 8_000_000, 8, 20, 32, 1000
OPERANDS_AT_MOST, DEAR_CALLERS, FLOOD_CALLERS = 10_000, 8, 32
NAMES_PER_ITEM, ITEMS_PER_CALL, MAX_NAMES = 36, 1000, 360_000
OVERLOAD, PATIENCE_SECONDS, CALL_SECONDS = 3.0, 0.5, 60.0


def none(_target: Target, seconds: float) -> Outcome:
    """Do nothing."""
    time.sleep(seconds)
    return Counter()


def silent_imports(target: Target, seconds: float) -> Outcome:
    """Hold streams of an import that send nothing."""
    return _streams(target.server, IMPORT, metadata(target), STREAMS, seconds)


def unread_exports(target: Target, seconds: float) -> Outcome:
    """Hold exports, and read nothing of them."""

    async def attack() -> Outcome:
        async with connected(target.server) as channel:
            call: Any = channel.unary_stream(EXPORT)

            async def once() -> str:
                # Without a read gRPC takes what its window holds and no more.
                return str((await call(b"", metadata=metadata(target)).code()).name)

            return await keep_at(once, STREAMS, seconds)

    return asyncio.run(attack())


def slow_readers(target: Target, seconds: float) -> Outcome:
    """Ask for the longest lists that there are, and read nothing of them."""
    asked = recommendations.BatchRecommendRequest(
        requests=[
            recommendations.RecommendRequest(user_id=name, page_size=100, include_items=True)
            for name in target.names[:100]
        ]
    ).SerializeToString()

    async def attack() -> Outcome:
        async with connected(target.server) as channel:
            # As a stream, so that it is read only when that is asked for.
            call: Any = channel.unary_stream(BATCH_RECOMMEND)

            async def once() -> str:
                return str((await call(asked, metadata=metadata(target)).code()).name)

            return await keep_at(once, SLOW_READERS, seconds)

    return asyncio.run(attack())


def idle_calls(target: Target, seconds: float) -> Outcome:
    """Begin calls whose requests do not come."""

    async def attack() -> Outcome:
        each = partial(_streamed, target.server, RECOMMEND, metadata(target), IDLE_CALLS, seconds)
        return _sum(await asyncio.gather(*(each() for _ in range(IDLE_CONNECTIONS))))

    return asyncio.run(attack())


def health_watches(target: Target, seconds: float) -> Outcome:
    """Watch the health, without a key, as often as it is let."""

    async def attack() -> Outcome:
        async with connected(target.server) as channel:
            call: Any = channel.unary_stream(WATCH)
            asked = HealthCheckRequest().SerializeToString()

            async def once() -> str:
                return str((await call(asked).code()).name)

            return await keep_at(once, WATCHES, seconds)

    return asyncio.run(attack())


def bomb(target: Target, seconds: float) -> Outcome:
    """Send one small compressed call after another that holds millions of requests."""
    return _bombs(target.server, BATCH_RECOMMEND, metadata(target), 1, seconds)


def bombs(target: Target, seconds: float) -> Outcome:
    """Send such calls eight at a time."""
    return _bombs(target.server, BATCH_RECOMMEND, metadata(target), BOMBS, seconds)


def worker_bombs(target: Target, seconds: float) -> Outcome:
    """Send the worker calls that hold millions of empty texts."""
    return _bombs(target.worker, EMBED, (), BOMBS, seconds)


def many_operands(target: Target, seconds: float) -> Outcome:
    """Send rules with more operands than any list of a shop has."""
    return _dear(target, _rules(RULES, CONDITIONS, OPERANDS), seconds)


def operands_allowed(target: Target, seconds: float) -> Outcome:
    """Send rules with as many operands as are allowed, which are all looked at."""
    return _dear(target, _rules(10, 1, OPERANDS_AT_MOST // 10 - 1), seconds)


def hot_caller(target: Target, seconds: float) -> Outcome:
    """Ask for three times as much as can be answered."""
    requests = of_people(target.names, len(target.names))
    schedule = Schedule(OVERLOAD * target.capacity, seconds)
    offered = open_loop(
        target.server, RECOMMEND, requests, schedule, PATIENCE_SECONDS, target.secret
    )
    return Counter(each.error or "OK" for each in offered)


def stranger(target: Target, seconds: float) -> Outcome:
    """Call without a key, as fast as the refusals come."""

    async def attack() -> Outcome:
        async with connected(target.server) as channel:
            call: Any = channel.unary_unary(RECOMMEND)

            async def once() -> str:
                await call(b"", timeout=CALL_SECONDS)
                return "OK"

            return await keep_at(once, FLOOD_CALLERS, seconds, 0.0)

    return asyncio.run(attack())


def attribute_names(target: Target, seconds: float) -> Outcome:
    """Write items with attributes that no other item has."""
    vector = np.arange(1, 385, dtype="<f4").tobytes()
    numbers = count()

    def batch() -> bytes:
        request = items.BatchUpsertItemsRequest()
        for number in range(ITEMS_PER_CALL):
            names = {f"name {next(numbers)}": 1 for _ in range(NAMES_PER_ITEM)}
            request.items.append(
                Item(id=f"named {number}", title="t", vector=vector, attributes=names)
            )
        return request.SerializeToString()

    # Made beforehand: to make them takes longer than to send them.
    batches = cycle([batch() for _ in range(MAX_NAMES // (NAMES_PER_ITEM * ITEMS_PER_CALL))])
    return _looped(target, UPSERT, lambda: next(batches), 1, seconds)


def snapshots(target: Target, seconds: float) -> Outcome:
    """Have snapshots made, and the first deleted when there may be no more."""

    async def attack() -> Outcome:
        async with connected(target.server) as channel:
            stub: Any = AdminServiceStub(channel)
            options = {"metadata": metadata(target), "timeout": CALL_SECONDS}

            async def once() -> str:
                try:
                    await stub.CreateSnapshot(admin.CreateSnapshotRequest(), **options)
                except grpc.aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
                        raise
                    listed = await stub.ListSnapshots(admin.ListSnapshotsRequest(), **options)
                    for each in listed.snapshots[:1]:
                        await stub.DeleteSnapshot(
                            admin.DeleteSnapshotRequest(id=each.id), **options
                        )
                    return "deleted"
                return "asked for"

            return await keep_at(once, 1, seconds)

    return asyncio.run(attack())


def _streams(
    address: str, method: str, shown: tuple[tuple[str, str], ...], number: int, seconds: float
) -> Outcome:
    return asyncio.run(_streamed(address, method, shown, number, seconds))


async def _streamed(
    address: str, method: str, shown: tuple[tuple[str, str], ...], number: int, seconds: float
) -> Outcome:
    async with connected(address) as channel:
        call: Any = channel.stream_unary(method)

        async def once() -> str:
            return str((await call(metadata=shown).code()).name)

        return await keep_at(once, number, seconds)


def _bombs(
    address: str, method: str, shown: tuple[tuple[str, str], ...], number: int, seconds: float
) -> Outcome:
    # Field 1, of no length, so often.
    content = b"\x0a\x00" * ELEMENTS

    async def attack() -> Outcome:
        async with connected(address) as channel:
            call: Any = channel.unary_unary(method)

            async def once() -> str:
                gzip = grpc.Compression.Gzip
                await call(content, metadata=shown, timeout=CALL_SECONDS, compression=gzip)
                return "OK"

            return await keep_at(once, number, seconds)

    return asyncio.run(attack())


def _dear(target: Target, request: bytes, seconds: float) -> Outcome:
    return _looped(target, RECOMMEND, lambda: request, DEAR_CALLERS, seconds)


def _looped(
    target: Target, method: str, request: Callable[[], bytes], callers: int, seconds: float
) -> Outcome:
    async def attack() -> Outcome:
        async with connected(target.server) as channel:
            call: Any = channel.unary_unary(method)

            async def once() -> str:
                await call(request(), metadata=metadata(target), timeout=CALL_SECONDS)
                return "OK"

            return await keep_at(once, callers, seconds, 0.0)

    return asyncio.run(attack())


def _rules(number: int, conditions: int, operands: int) -> bytes:
    condition = Condition(field="year")
    getattr(condition, "in").values.extend(Operand(number=at) for at in range(operands))
    rule = recommendations.Rule(boost=2, filter=Filter(any_of=[condition] * conditions))
    asked = recommendations.RecommendRequest(user_id="1", rules=[rule] * number)
    return asked.SerializeToString()


def _sum(outcomes: list[Outcome]) -> Outcome:
    return sum(outcomes, Counter())
