"""A hail of hostile requests on a server and its worker, and what must not come of it."""

import asyncio
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection
from longtail.client import LongtailClient, named_vectors
from longtail.runtime import health
from longtail.runtime.reflection import V1
from longtail.server.app import SERVICES
from longtail.v1.item_pb2 import Item
from longtail.worker.service import SERVICE as WORKER

from tests import processes
from tests.films import FILMS, films, liked
from tests.hostile import Grammar, Hostile, draw, methods
from tests.raw_http2 import send_hostile

ADDRESSED = {"server": (*SERVICES, health.SERVICE), "worker": (WORKER, health.SERVICE)}
REFLECTION = reflection.SERVICE_NAME
CALLERS = 8
# Of the server's requests, one in so many is for the worker; and so many are raw frames.
WORKER_SHARE, RAW_SHARE = 5, 50
# What takes long, or takes the place of much else, comes this much less often than the others.
RARE = dict.fromkeys(
    (
        "CreateSnapshot",
        "RebuildIndex",
        "VerifySnapshot",
        "DeleteUserData",
        "DeleteVectorSpace",
        "Watch",
    ),
    0.05,
)
BROKEN = {"INTERNAL", "UNKNOWN", "DATA_LOSS", "HANGS"}
# What gRPC's client says when the call ended before all of its messages were sent.
UNSENT = "Internal error from Core"
# Beyond any limit of the server's.
HANG_SECONDS = 90.0
KNOWN = [*FILMS, "me", "you", "rating", "view", "year", "title", "space", "a robot alone", "image"]
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.enable_retries", 0)]
SECRETLY = re.compile(
    'Traceback|unexpected failure|Segmentation|core dumped|CRITICAL|"level": "critical"'
)


@dataclass(frozen=True)
class Attacked:
    """A server and its worker, which nobody else uses."""

    server: processes.Running
    worker: processes.Running


def check_hail(artefact: Path, home: Path, number: int) -> Counter[str]:
    """Send `number` requests to new processes; fail when one does what it should not.

    Returns how many ended how.
    """
    with _attacked(artefact, home) as attacked:
        codes, broken = asyncio.run(_hail(attacked, number))
        for running in (attacked.server, attacked.worker):
            assert running.process.poll() is None
            assert processes.health(running.address) == health_pb2.HealthCheckResponse.SERVING
            told = running.log.read_text(errors="replace")
            assert not SECRETLY.search(told), told[-20_000:]
        assert not broken, broken[:20]
        # No method was left out.
        assert {path for path, _ in codes} == {path for each in _calls().values() for path in each}
        with LongtailClient(attacked.server.address) as client:
            client.upsert_items(films())
            assert client.recommend(query="a robot alone in space").results
        assert attacked.server.stop() == 0
    ended: Counter[str] = Counter()
    for (_, code), count in codes.items():
        ended[code] += count
    assert ended["OK"]
    assert ended["INVALID_ARGUMENT"]
    return ended


@contextmanager
def _attacked(artefact: Path, home: Path) -> Iterator[Attacked]:
    with (
        processes.worker(home, artefact) as worker,
        processes.server(home, worker.address, LONGTAIL_SNAPSHOTS="3") as server,
    ):
        with LongtailClient(server.address) as client:
            client.create_vector_space("image", 2)
            picture = named_vectors({"image": [1, 2]})
            client.upsert_items([*films(), Item(id="picture", extra_vectors=picture)])
            client.write_interactions([liked("me", "alien"), liked("you", "heat")])
        yield Attacked(server, worker)


def _calls() -> dict[str, dict[str, Any]]:
    """Return all methods of each process by their paths."""
    found = {
        process: {
            f"/{method.containing_service.full_name}/{method.name}": method
            for method in methods((*services, REFLECTION))
        }
        for process, services in ADDRESSED.items()
    }
    (ask,) = methods((REFLECTION,))
    for each in found.values():
        each[f"/{V1}/{ask.name}"] = ask
    return found


async def _hail(
    attacked: Attacked, number: int
) -> tuple[Counter[tuple[str, str]], Sequence[tuple[int, str, str]]]:
    """Send `number` requests; return how many of each method ended how, and the broken ones."""
    grammar = Grammar(list(KNOWN))
    codes: Counter[tuple[str, str]] = Counter()
    broken: list[tuple[int, str, str]] = []
    addresses = {"server": attacked.server.address, "worker": attacked.worker.address}
    known = _calls()
    paths = {name: list(each) for name, each in known.items()}
    weights = {
        name: [RARE.get(path.rpartition("/")[2], 1.0) for path in each]
        for name, each in paths.items()
    }
    # At first each method once, whatever its weight.
    first = [(name, path) for name, each in paths.items() for path in each]
    numbers = iter(range(number))

    async def call() -> None:
        for at in numbers:
            rng = random.Random(at)
            process = "server" if rng.randrange(WORKER_SHARE) else "worker"
            path = rng.choices(paths[process], weights[process])[0]
            if at < len(first):
                process, path = first[at]
            hostile = draw(rng, grammar, path, known[process][path])
            if at >= len(first) and rng.randrange(RAW_SHARE) == 0:
                content = hostile.contents[0] if hostile.contents else b""
                await asyncio.to_thread(send_hostile, addresses[process], path, content, rng)
                continue
            try:
                asking = _asked(channels[process], hostile)
                code, details, answers = await asyncio.wait_for(asking, HANG_SECONDS)
            except TimeoutError:
                code, details, answers = "HANGS", "", []
            codes[path, code] += 1
            if code in BROKEN:
                broken.append((at, path, f"{code}: {details}"))
            for answer in answers:
                grammar.note(GetMessageClass(known[process][path].output_type).FromString(answer))

    async with (
        grpc.aio.insecure_channel(addresses["server"], options=OPTIONS) as server,
        grpc.aio.insecure_channel(addresses["worker"], options=OPTIONS) as worker,
    ):
        channels = {"server": server, "worker": worker}
        await asyncio.gather(*(call() for _ in range(CALLERS)))
    return codes, broken


async def _asked(channel: grpc.aio.Channel, hostile: Hostile) -> tuple[str, str, list[bytes]]:
    """Make the call; return its code, what is said of it, and the first answers."""
    method: Any
    sent: Any
    if len(hostile.contents) == 1:
        method, (sent,) = channel.unary_stream(hostile.method), hostile.contents
    else:
        method, sent = channel.stream_stream(hostile.method), iter(hostile.contents)
    answers: list[bytes] = []
    call = method(
        sent,
        metadata=hostile.metadata,
        timeout=hostile.timeout,
        compression=hostile.compression,
    )
    # A watch has no end.
    endless = hostile.method.endswith("/Watch")
    try:
        if hostile.cancelled is not None:
            await asyncio.sleep(hostile.cancelled)
            call.cancel()
        async for answer in call:
            if len(answers) < 3:
                answers.append(answer)
            if endless:
                call.cancel()
        code, details = await call.code(), await call.details()
    except grpc.aio.AioRpcError as error:
        code, details = error.code(), error.details() or ""
    except asyncio.CancelledError:
        code, details = grpc.StatusCode.CANCELLED, ""
    if details == UNSENT:
        return "UNSENT", details, answers
    return code.name, details, answers
