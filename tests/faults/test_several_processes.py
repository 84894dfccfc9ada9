"""Several server processes on one store: what one writes all see, and any may be killed."""

import os
import random
import signal
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from longtail.client import LongtailClient
from longtail.client.calls import channel
from longtail.v1.recommendation_service_pb2 import Example

from tests import processes
from tests.faults.answers import check_sound, questions
from tests.faults.contents import Contents, read, union
from tests.faults.extent import extent
from tests.faults.family import COUNT, Family, family, is_alive, process_of
from tests.faults.filled import SETTINGS, has_merged
from tests.faults.items import Material
from tests.faults.load import Caller, callers, users, writing
from tests.faults.stores import check_store, generations, wait_for
from tests.faults.tally import Tally

pytestmark = pytest.mark.model

KILLS = extent(1, 10)
WRITES = extent(5, 100)
# What the contract promises is held to where nothing else runs beside the test.
SEEN_SECONDS = extent(30.0, 1.0)


@pytest.fixture(scope="module")
def several(worker_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Family]:
    """Run a server of several processes, and give each client a connection of its own."""
    own = [*channel.channel_options("127.0.0.1:1"), ("grpc.use_local_subchannel_pool", 1)]
    with pytest.MonkeyPatch.context() as patch:
        # Clients of one process share connections otherwise, and so the server's process.
        patch.setattr(channel, "channel_options", lambda _address: own)
        with family(tmp_path_factory.mktemp("several"), worker_address) as running:
            yield running


@pytest.fixture(scope="module")
def writers(material: Material, several: Family) -> list[Caller]:
    """Return callers that have written all of their items."""
    begun = callers(material)
    with LongtailClient(several.running.address) as client:
        for writer in begun:
            writer.begin(client)
    return begun


def test_a_write_through_one_process_is_seen_through_all(
    several: Family, material: Material, writers: list[Caller], tally: Tally
) -> None:
    numbers = count(100_000)
    with several.connected() as clients:
        for number in range(WRITES):
            writer, *others = clients[number % COUNT :] + clients[: number % COUNT]
            item = material.item("new", next(numbers))
            revision = writer.upsert_items([item]).revision
            written = time.monotonic()
            assert nearest(writer, item.vector) == item.id
            assert nearest(others[0], item.vector, min_revision=revision) == item.id
            while (seen := nearest(others[1], item.vector)) != item.id:
                assert time.monotonic() - written < SEEN_SECONDS, seen
            tally.count("writes seen through all")
            tally.most("seconds until seen without min_revision", time.monotonic() - written)
        clients[0].delete_item("new")
    expected = union(writer.contents for writer in writers)
    check_all(several, expected, writers)


def test_a_second_server_is_refused_while_several_processes_run(
    several: Family, worker_address: str, tmp_path: Path
) -> None:
    for arguments in ((), ("--processes", "2")):
        variables = processes.environment(several.home, LONGTAIL_WORKER_ADDRESS=worker_address)
        log = tmp_path / "second.log"
        assert processes.start("longtail.server", log, variables, arguments).wait(30) == 1
        assert "another server runs on" in log.read_text()
        log.unlink()


def test_a_process_that_is_killed_is_started_again_and_the_others_go_on(
    several: Family, material: Material, writers: list[Caller], tally: Tally
) -> None:
    moments = random.Random(7)
    for _ in range(KILLS):
        with several.connected() as clients:
            before = [process_of(client) for client in clients]
            victim = moments.choice([pid for pid in several.pids if pid != several.owner])
            with writing(writers, several.running.address):
                time.sleep(moments.uniform(0.1, 1.0))
                os.kill(victim, signal.SIGKILL)
                time.sleep(0.5)
            after = [process_of(client) for client in clients]
            # The connections to the others did not break.
            assert sum(a == b for a, b in zip(before, after, strict=True)) >= COUNT - 1
        settle(several, writers, material)
        assert victim not in several.pids
        tally.count("processes killed")
    tally.count("writes acknowledged", sum(writer.acknowledged for writer in writers))


def test_when_the_owner_of_the_index_is_killed_another_builds_generations(
    several: Family, material: Material, writers: list[Caller], tally: Tally
) -> None:
    for _ in range(KILLS):
        wait_for(lambda: several.owner is not None)
        owner, before = several.owner, generations(several.home)
        assert owner in several.pids
        os.kill(owner, signal.SIGKILL)
        wait_for(lambda: several.owner not in (None, owner))  # noqa: B023
        with writing(writers, several.running.address):
            wait_for(lambda: max(generations(several.home)) > max(before))  # noqa: B023
        settle(several, writers, material)
        tally.count("owners killed")


def test_when_the_parent_is_killed_all_end_and_a_new_start_works(
    several: Family,
    worker_address: str,
    material: Material,
    writers: list[Caller],
    tally: Tally,
) -> None:
    pids = several.pids
    with writing(writers, several.running.address):
        time.sleep(0.5)
        several.running.stop(signal.SIGKILL)
        wait_for(lambda: not any(map(is_alive, pids)))
    with (
        processes.server(several.home, worker_address, **SETTINGS) as running,
        LongtailClient(running.address) as client,
    ):
        for writer in writers:
            writer.retry(client)
        assert read(client, users(writers)) == union(writer.contents for writer in writers)
        assert running.stop() == 0
    check_store(several.home)
    tally.count("parents killed")


def settle(several: Family, writers: list[Caller], material: Material) -> None:
    """Wait until all processes are there again, finish what was broken off, and check them all."""
    wait_for(several.is_whole)
    with LongtailClient(several.running.address) as client:
        for writer in writers:
            writer.retry(client)
        wait_for(lambda: has_merged(client))
    expected = union(writer.contents for writer in writers)
    check_all(several, expected, writers)
    with several.connected() as clients:
        for client in clients:
            check_sound(client, questions(material, users(writers)[:1]), expected)


def check_all(several: Family, expected: Contents, writers: list[Caller]) -> None:
    """Fail unless every process has caught up, and returns what is expected."""
    with several.connected() as clients:
        newest = max(client.server_info().revision for client in clients)
        for client in clients:
            client.recommend(min_revision=newest)
            assert read(client, users(writers)) == expected


def nearest(client: LongtailClient, vector: bytes, min_revision: int = 0) -> str:
    """Return the nearest item to a vector."""
    examples = [Example(vector=vector)]
    found = client.recommend(
        examples=examples, strength=0.0, page_size=1, min_revision=min_revision
    )
    return found.results[0].item_id
