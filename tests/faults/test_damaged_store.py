"""The real server on a store that is not whole."""

import shutil
import sqlite3
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2
from longtail.client import LongtailClient, LongtailError
from longtail.server.store.record_store import DATABASE

from tests import processes
from tests.damages import damage_page
from tests.faults.stores import wait_for
from tests.films import films, liked

pytestmark = pytest.mark.model

RECOMMENDATION, INTERACTION = (
    f"longtail.v1.{name}Service" for name in ("Recommendation", "Interaction")
)
SERVING, NOT_SERVING = (
    health_pb2.HealthCheckResponse.SERVING,
    health_pb2.HealthCheckResponse.NOT_SERVING,
)
SECRET = "nobody-is-to-know"


@pytest.fixture(scope="module")
def filled(worker_address: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the home of a store with films and an index, of a server that has stopped."""
    home = tmp_path_factory.mktemp("filled")
    with (
        processes.server(home, worker_address, LONGTAIL_INDEX_MERGE_ROWS="1") as running,
        LongtailClient(running.address) as client,
    ):
        client.upsert_items(films())
        client.write_interactions([liked("me", "alien")])
        client.wait_for_operation(client.create_snapshot().operation.id)
        wait_for(lambda: client.server_info().index.delta_count == 0)
        assert running.stop() == 0
    return home


@pytest.fixture
def home(filled: Path, tmp_path: Path) -> Path:
    shutil.copytree(filled / "data", tmp_path / "data")
    return tmp_path


def empty(data: Path) -> None:
    (data / DATABASE).write_bytes(b"")


def remove(data: Path) -> None:
    (data / DATABASE).unlink()


def garble(data: Path) -> None:
    damage_page(data / DATABASE, 0)


def damage(data: Path) -> None:
    damage_page(data / DATABASE, 5)


def flip(data: Path) -> None:
    content = bytearray((data / DATABASE).read_bytes())
    content[content.rindex(b"Alien")] ^= 0x01
    (data / DATABASE).write_bytes(content)


def cut(data: Path) -> None:
    content = (data / DATABASE).read_bytes()
    (data / DATABASE).write_bytes(content[: len(content) // 2])


def leave_a_log(data: Path) -> None:
    for path in (data / "index", data / "snapshots"):
        shutil.rmtree(path)
    (data / DATABASE).rename(data / f"{DATABASE}-wal")


@pytest.mark.parametrize("harm", [empty, remove, garble, damage, flip, cut, leave_a_log])
@pytest.mark.parametrize("count", [1, 2])
def test_a_store_that_is_not_whole_is_refused_in_a_sentence(
    home: Path, worker_address: str, harm: Callable[[Path], None], count: int
) -> None:
    harm(home / "data")
    variables = processes.environment(home, LONGTAIL_WORKER_ADDRESS=worker_address)
    log = home / "refused.log"
    arguments = ["--processes", str(count)] if count > 1 else []
    assert processes.start("longtail.server", log, variables, arguments).wait(60) == 1
    told = log.read_text()
    assert "Traceback" not in told
    (line,) = [line for line in told.splitlines() if line.startswith("server: ")]
    assert f"the store is damaged: {home / 'data' / DATABASE}" in line
    assert "longtail-restore a snapshot" in line


def test_damage_that_a_write_finds_takes_writing_down_and_leaves_reading(
    home: Path, worker_address: str
) -> None:
    metrics = processes.free_address()
    with (
        processes.server(
            home,
            worker_address,
            LONGTAIL_SERVER_METRICS_ADDRESS=metrics,
            LONGTAIL_LOG_LEVEL="debug",
        ) as running,
        LongtailClient(running.address) as client,
    ):
        client.write_interactions([liked("you", "alien")])
        assert writable(metrics) == 1
        with closing(sqlite3.connect(home / "data" / DATABASE)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            query = "SELECT rootpage FROM sqlite_master WHERE name = 'interactions_by_user'"
            ((page,),) = database.execute(query).fetchall()
            damage_page(home / "data" / DATABASE, page - 1)
            # So that the server reads its pages anew.
            database.execute("UPDATE sequence SET revision = revision")
            database.commit()
        with pytest.raises(LongtailError) as caught:
            client.write_interactions([liked(SECRET, "alien")])
        assert caught.value.code.name == "DATA_LOSS"
        assert "the store is damaged" in caught.value.message
        wait_for(lambda: processes.health(running.address, INTERACTION) == NOT_SERVING)
        assert processes.health(running.address, RECOMMENDATION) == SERVING
        assert writable(metrics) == 0
        assert client.get_item("alien").item.title == "Alien"
        assert client.recommend(query="a robot alone in space").results
        with pytest.raises(LongtailError, match="the store is damaged"):
            client.upsert_items(films())
        told = running.log.read_text()
        assert running.stop() == 0
    assert "store not written any more error=the store is damaged" in told
    assert SECRET not in told
    assert "Traceback" not in told


def writable(metrics: str) -> float:
    with urllib.request.urlopen(f"http://{metrics}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    (line,) = [line for line in lines if line.startswith("longtail_store_writable ")]
    return float(line.split()[1])
