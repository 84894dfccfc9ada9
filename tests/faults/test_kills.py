"""A server that is killed at random moments of a mixed load of writes."""

import random
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from longtail.client import LongtailClient

from tests import processes
from tests.faults.answers import Question, check_same, check_sound, questions
from tests.faults.contents import read, union
from tests.faults.extent import extent
from tests.faults.filled import SETTINGS
from tests.faults.items import Material
from tests.faults.load import Caller, callers, check_nothing_lost, users, writing
from tests.faults.stores import check_store, copy_without_index, generations, wait_for
from tests.faults.tally import Tally

pytestmark = pytest.mark.model

KILLS = extent(4, 100)
# Of the kills, one in so many is followed by a comparison with a rebuilt index.
COMPARED = extent(4, 1)
LONGEST_SECONDS = extent(1.5, 3.0)


def test_nothing_acknowledged_is_lost_or_doubled_by_kills_under_load(
    worker_address: str, material: Material, tmp_path: Path, tally: Tally
) -> None:
    moments = random.Random(4)
    writers = callers(material)
    asked = questions(material, writers[0].users[:2])
    address = processes.free_address()
    home, seen = tmp_path / "store", set[int]()
    home.mkdir()
    for kill in range(KILLS + 1):
        crashed = None
        if kill and kill % COMPARED == 0:
            crashed = copy_without_index(home, tmp_path / "rebuilt")
        with (
            processes.server(home, worker_address, address=address, **SETTINGS) as running,
            LongtailClient(address) as client,
        ):
            client.wait_until_serving()
            check(client, writers)
            if crashed is not None:
                compare(client, crashed, worker_address, asked)
                shutil.rmtree(crashed)
                tally.count("comparisons with a rebuilt index")
            for writer in writers:
                writer.retry(client) if kill else writer.begin(client)
            expected = union(writer.contents for writer in writers)
            assert read(client, users(writers)) == expected
            check_sound(client, asked, expected)
            if kill == KILLS:
                # The indexer yields to the writers, so on a busy machine it may not have come far.
                wait_for(lambda: max(generations(home), default=0) > 1)
                assert running.stop() == 0
                break
            with writing(writers, address):
                time.sleep(moments.uniform(0.05, LONGEST_SECONDS))
                seen |= generations(home)
                running.stop(signal.SIGKILL)
        tally.count("kills")
        tally.count("of them with a call in flight", any(writer.pending for writer in writers))
        seen |= generations(home)
    check_store(home)
    tally.count("writes acknowledged", sum(writer.acknowledged for writer in writers))
    tally.count("generations seen", len(seen | generations(home)))


def check(client: LongtailClient, writers: Sequence[Caller]) -> None:
    """Fail when a server that was killed has lost or doubled anything."""
    check_nothing_lost(writers, read(client, users(writers)))
    assert client.server_info().revision >= max(writer.revision for writer in writers)


def compare(client: LongtailClient, crashed: Path, worker: str, asked: Sequence[Question]) -> None:
    """Fail unless a server answers as one does that has to build the index from the same store."""
    with (
        processes.server(crashed, worker, **SETTINGS) as rebuilt,
        LongtailClient(rebuilt.address) as other,
    ):
        # First every item is scanned, then there is a graph again.
        check_same(client, other, asked)
        other.wait_for_operation(other.rebuild_index().operation.id)
        check_same(client, other, asked)
        assert rebuilt.stop() == 0
    check_store(crashed)
