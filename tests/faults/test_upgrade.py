"""A server that is brought to a newer version and back while others write and ask."""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from longtail.client import LongtailClient, LongtailError

from tests import processes
from tests.expansion import SCHEMA, write_version
from tests.faults.answers import check_sound, questions
from tests.faults.contents import read, union
from tests.faults.extent import extent
from tests.faults.filled import SETTINGS
from tests.faults.items import Material
from tests.faults.load import GONE, callers, check_nothing_lost, users, writing
from tests.faults.stores import check_store
from tests.faults.tally import Tally

pytestmark = pytest.mark.model

THERE_AND_BACK = extent(1, 5)
SECONDS = extent(1.0, 10.0)


def test_an_upgrade_and_the_way_back_lose_no_write_and_fail_no_request_before_the_drain(
    worker_address: str, material: Material, tmp_path: Path, tally: Tally
) -> None:
    write_version(tmp_path / "newer")
    newer = os.pathsep.join([str(tmp_path / "newer"), os.environ.get("PYTHONPATH", "")])
    versions = [{}, *[{"PYTHONPATH": newer}, {}] * THERE_AND_BACK]
    writers = callers(material)
    address = processes.free_address()
    home = tmp_path / "store"
    home.mkdir()
    for number, version in enumerate(versions):
        with (
            processes.server(
                home, worker_address, address=address, **{**SETTINGS, **version}
            ) as running,
            LongtailClient(address) as client,
        ):
            client.wait_until_serving()
            assert (schema(home) == SCHEMA) == bool(number)
            for writer in writers:
                writer.retry(client) if number else writer.begin(client)
            expected = union(writer.contents for writer in writers)
            check_nothing_lost(writers, read(client, users(writers)))
            check_sound(client, questions(material, writers[0].users[:2]), expected)
            with asking(address) as answered, writing(writers, address) as written:
                # The load itself: nothing is waited for.
                time.sleep(SECONDS)
                assert not any(each.done() for each in written)
                tally.count("lists before the drains", len(answered))
                assert running.stop() == 0
    check_store(home)
    tally.count("versions", len(versions))
    tally.count("writes acknowledged", sum(writer.acknowledged for writer in writers))


def schema(home: Path) -> str:
    with closing(sqlite3.connect(home / "data" / "longtail.db")) as store:
        return str(store.execute("SELECT version_num FROM alembic_version").fetchone()[0])


@contextmanager
def asking(address: str) -> Iterator[list[int]]:
    """Ask for lists until the server drains; yields the length of each. Fails with another end."""
    answered: list[int] = []
    failures: list[LongtailError] = []

    def ask() -> None:
        with LongtailClient(address) as client:
            try:
                while True:
                    answered.append(len(client.recommend("a robot at sea").results))
            except LongtailError as error:
                failures.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answered
    finally:
        thread.join(processes.PATIENCE_SECONDS)
    assert answered
    assert [error.code.name for error in failures if error.code.name not in GONE] == []
