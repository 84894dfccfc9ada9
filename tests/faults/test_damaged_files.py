"""What each of our commands says of a file that is damaged: one sentence that names it."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from longtail.client import LongtailClient
from longtail.server.operations.snapshots import MANIFEST as SNAPSHOT_MANIFEST
from longtail.server.ranking.expected_exposure import exposure_path
from longtail.server.ranking.profile import default_profile, write_profile
from longtail.server.store.record_store import DATABASE
from longtail.worker.artefact import GRAPH, MANIFEST, TOKENIZER

from tests import processes
from tests.films import films

pytestmark = pytest.mark.model

Harm = Callable[[Path], None]


def empty(path: Path) -> None:
    path.write_bytes(b"")


def halve(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def garble(path: Path) -> None:
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + b"\0\xff{[" + content[middle + 4 :])


def replace_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


HARMS = [empty, halve, garble, replace_by_a_folder]


def told(home: Path, module: str, *arguments: str, **variables: str) -> str:
    """Run a command that has to fail; return the one line that says why."""
    environment = processes.environment(home, **variables)
    command = [sys.executable, "-m", module, *arguments]
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode in (1, 2), ended.stderr
    assert "Traceback" not in ended.stderr
    name = module.split(".")[-1]
    (line,) = [each for each in ended.stderr.splitlines() if each.startswith(name)]
    return line


@pytest.mark.parametrize("name", [MANIFEST, GRAPH, TOKENIZER])
@pytest.mark.parametrize("harm", HARMS)
def test_a_worker_and_its_encoder(tmp_path: Path, artefact: Path, name: str, harm: Harm) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in artefact.iterdir():
        # What is not harmed need not be copied.
        (broken / path.name).symlink_to(path)
    (broken / name).unlink()
    shutil.copy(artefact / name, broken / name)
    harm(broken / name)
    line = told(
        tmp_path,
        "longtail.worker",
        LONGTAIL_MODEL=str(broken),
        LONGTAIL_WORKER_ADDRESS=processes.free_address(),
    )
    assert str(broken / name) in line
    assert "longtail-export" in line


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("exposure", [False, True])
def test_a_server_and_its_profile(
    tmp_path: Path, worker_address: str, harm: Harm, exposure: bool
) -> None:
    profile = tmp_path / "ranking-profile.json"
    write_profile(default_profile(), profile)
    exposure_path(profile).write_text("item_id,exposure\na,1\nb,2\n")
    harmed = exposure_path(profile) if exposure else profile
    harm(harmed)
    line = told(
        tmp_path,
        "longtail.server",
        LONGTAIL_WORKER_ADDRESS=worker_address,
        LONGTAIL_SERVER_ADDRESS=processes.free_address(),
    )
    assert str(harmed) in line
    assert "remove it, or fit it anew" in line


def test_a_server_whose_home_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    line = told(tmp_path / "home", "longtail.server")
    assert str(tmp_path / "home") in line


@pytest.fixture(scope="module")
def stopped(worker_address: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return the home of a store with a snapshot, and the snapshot's id."""
    home = tmp_path_factory.mktemp("stopped")
    with (
        processes.server(home, worker_address) as running,
        LongtailClient(running.address) as client,
    ):
        client.upsert_items(films())
        made = client.wait_for_operation(client.create_snapshot().operation.id)
        assert running.stop() == 0
    return home, made.snapshot_id


@pytest.mark.parametrize("name", [SNAPSHOT_MANIFEST, DATABASE])
@pytest.mark.parametrize("harm", HARMS)
def test_a_restore_and_its_snapshot(
    tmp_path: Path, stopped: tuple[Path, str], name: str, harm: Harm
) -> None:
    home, snapshot_id = stopped
    shutil.copytree(home / "data", tmp_path / "data")
    present = (tmp_path / "data" / DATABASE).read_bytes()
    harm(tmp_path / "data" / "snapshots" / snapshot_id / name)
    line = told(tmp_path, "longtail.server.operations.restore", snapshot_id)
    assert f"snapshots/{snapshot_id}: {name}" in line
    assert "restore another snapshot" in line
    assert (tmp_path / "data" / DATABASE).read_bytes() == present


def test_a_restore_over_a_store_that_is_damaged(
    tmp_path: Path, stopped: tuple[Path, str], worker_address: str
) -> None:
    home, snapshot_id = stopped
    shutil.copytree(home / "data", tmp_path / "data")
    (tmp_path / "data" / DATABASE).write_bytes(b"")
    command = [sys.executable, "-m", "longtail.server.operations.restore", snapshot_id]
    environment = processes.environment(tmp_path)
    assert subprocess.run(command, env=environment, check=False, timeout=60).returncode == 0
    with (
        processes.server(tmp_path, worker_address) as running,
        LongtailClient(running.address) as client,
    ):
        assert client.catalog_stats().item_count == len(films())
        assert running.stop() == 0
