"""A disk that fills up under a server, and is freed again."""

import random
import resource
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from pathlib import Path

import pytest
from longtail.client import LongtailClient
from longtail.server.catalogue.index.vector_file import SUFFIX
from longtail.server.store.record_store import DATABASE

from tests import processes
from tests.faults.answers import check_exact, check_sound, questions
from tests.faults.contents import read, union
from tests.faults.disks import enlarge, fill, small_disk
from tests.faults.extent import extent
from tests.faults.filled import ITEMS, SETTINGS
from tests.faults.items import Material, batches
from tests.faults.load import Caller, callers, users, writing
from tests.faults.stores import check_store, generations, wait_for
from tests.faults.tally import Tally

pytestmark = pytest.mark.model

TIMES = extent(2, 10)
DISK_KIB = 64 * 1024
# What is left on the disk at most: a write fails now at its beginning, now in its midst.
SPARE_BYTES = 200_000
REFUSED_SECONDS, FOLLOWING_SECONDS = 60, 0.5
FULL, STORAGE_FULL = "RESOURCE_EXHAUSTED", "STORAGE_FULL"


def test_writes_are_refused_while_the_disk_is_full_and_go_on_when_it_is_freed(
    worker_address: str, material: Material, tmp_path: Path, tally: Tally
) -> None:
    writers, moments = callers(material), random.Random(6)
    data, ballast = tmp_path / "data", tmp_path / "data" / "ballast"
    with small_disk(data, DISK_KIB):
        with (
            processes.server(tmp_path, worker_address, **SETTINGS) as running,
            LongtailClient(running.address) as client,
        ):
            for writer in writers:
                writer.begin(client)
            for time in range(TIMES):
                fill(ballast, moments.randrange(SPARE_BYTES) if time else 0)
                write_until_full(running.address, writers, tally)
                check_nothing_kept(client, writers, material)
                ballast.unlink()
                go_on(client, writers, tally)
            assert running.stop() == 0
        check_again(tmp_path, worker_address, writers, tally)


def test_a_limit_of_file_size_is_met_like_a_full_disk(
    worker_address: str, material: Material, tmp_path: Path, tally: Tally
) -> None:
    writers, moments = callers(material), random.Random(8)
    log = tmp_path / "data" / f"{DATABASE}-wal"
    with (
        processes.server(tmp_path, worker_address, **SETTINGS) as running,
        LongtailClient(running.address) as client,
    ):
        for writer in writers:
            writer.begin(client)
        unlimited = resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE)
        for _ in range(TIMES):
            limit = int(moments.uniform(0.1, 1.0) * log.stat().st_size), unlimited[1]
            resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, limit)
            write_until_full(running.address, writers, tally)
            check_nothing_kept(client, writers, material)
            resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, unlimited)
            go_on(client, writers, tally)
        assert running.stop() == 0
    check_again(tmp_path, worker_address, writers, tally)


def test_an_index_that_cannot_be_written_holds_up_nothing(
    worker_address: str, material: Material, tmp_path: Path, tally: Tally
) -> None:
    index = tmp_path / "data" / "index"
    items = {item.id: item for item in material.catalogue(ITEMS)}
    asked = questions(material)
    with small_disk(index, kib=256):
        with (
            processes.server(tmp_path, worker_address, **SETTINGS) as running,
            LongtailClient(running.address) as client,
        ):
            for batch in batches(list(items.values())):
                client.upsert_items(batch)
            wait_for(lambda: "part=indexer" in running.log.read_text())
            assert not generations(tmp_path)
            # What cannot be finished must not keep the disk full.
            wait_for(lambda: not any(index.glob(f"*/*{SUFFIX}")), seconds=5)
            late = material.item("late", ITEMS)
            client.upsert_items([late])
            items[late.id] = late
            check_exact(client, asked, items)
            enlarge(index, DISK_KIB)
            wait_for(lambda: bool(generations(tmp_path)))
            wait_for(lambda: client.server_info().index.delta_count < ITEMS)
            check_exact(client, asked, items)
            assert running.stop() == 0
        check_store(tmp_path)
    tally.count("times the index could not be written")


def write_until_full(address: str, writers: Sequence[Caller], tally: Tally) -> None:
    """Have the callers write until one, and those that follow at once, are refused for space."""
    with writing(writers, address, ends_with=[FULL]) as running:
        wait(running, REFUSED_SECONDS, FIRST_COMPLETED)
        wait(running, FOLLOWING_SECONDS)
    refusals = [writer.failure for writer in writers if writer.failure is not None]
    assert refusals
    for refusal in refusals:
        assert refusal.reason == STORAGE_FULL
        assert "the disk is full" in refusal.message
    tally.count("callers refused", len(refusals))


def check_nothing_kept(
    client: LongtailClient, writers: Sequence[Caller], material: Material
) -> None:
    """Fail unless what was acknowledged is there, nothing else is, and reads go on."""
    expected = union(writer.contents for writer in writers)
    assert read(client, users(writers)) == expected
    check_sound(client, questions(material, writers[0].users[:1]), expected)


def go_on(client: LongtailClient, writers: Sequence[Caller], tally: Tally) -> None:
    """Write again what was refused."""
    tally.count("times full")
    for writer in writers:
        writer.retry(client)
        writer.failure = None
    assert read(client, users(writers)) == union(writer.contents for writer in writers)


def check_again(home: Path, worker_address: str, writers: Sequence[Caller], tally: Tally) -> None:
    """Fail unless a new start finds all that was acknowledged."""
    with (
        processes.server(home, worker_address, **SETTINGS) as running,
        LongtailClient(running.address) as client,
    ):
        assert read(client, users(writers)) == union(writer.contents for writer in writers)
        assert running.stop() == 0
    check_store(home)
    tally.count("writes acknowledged", sum(writer.acknowledged for writer in writers))
