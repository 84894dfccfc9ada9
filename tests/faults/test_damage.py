"""Files of the index that are damaged while the server is stopped."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from longtail.client import LongtailClient
from longtail.server.catalogue.index.generation import MANIFEST_FILE, ROWS_FILE
from longtail.server.catalogue.index.hnsw import GRAPH_FILE
from longtail.server.catalogue.index.vector_file import SUFFIX
from longtail.server.catalogue.state import COLUMNS_FILE

from tests import processes
from tests.faults.answers import check_exact, questions
from tests.faults.extent import extent
from tests.faults.filled import SETTINGS, FilledStore
from tests.faults.items import Material
from tests.faults.stores import check_store, generations, newest_generation, wait_for
from tests.faults.tally import Tally

pytestmark = pytest.mark.model

VECTORS = "vectors"
Damage = Callable[[Path], None]


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))


def truncate(path: Path) -> None:
    """Cut off the last third of a file."""
    os.truncate(path, path.stat().st_size * 2 // 3)


def empty(path: Path) -> None:
    """Cut off all of a file."""
    os.truncate(path, 0)


def delete(path: Path) -> None:
    """Remove a file."""
    path.unlink()


EVERY = [
    (damage, file)
    for damage in (flip, truncate, empty, delete)
    for file in (GRAPH_FILE, VECTORS, ROWS_FILE, COLUMNS_FILE, MANIFEST_FILE)
]
SHORT = [(flip, GRAPH_FILE), (flip, VECTORS), (truncate, ROWS_FILE), (delete, MANIFEST_FILE)]


@pytest.mark.parametrize(("damage", "file"), extent(SHORT, EVERY))
def test_a_damaged_index_is_told_passed_over_and_built_anew(
    damage: Damage,
    file: str,
    worker_address: str,
    material: Material,
    filled: FilledStore,
    tally: Tally,
) -> None:
    before = generations(filled.home)
    generation = newest_generation(filled.home)
    damage(next(generation.parent.glob(f"*{SUFFIX}")) if file == VECTORS else generation / file)
    with (
        processes.server(filled.home, worker_address, **SETTINGS) as running,
        LongtailClient(running.address) as client,
    ):
        check_exact(client, questions(material), filled.items)
        assert f"generation not used reason={told(file, generation)}" in running.log.read_text()
        wait_for(lambda: client.server_info().index.delta_count == 0)
        check_exact(client, questions(material), filled.items)
        assert max(generations(filled.home)) > max(before)
        assert running.stop() == 0
    with (
        processes.server(filled.home, worker_address, **SETTINGS) as running,
        LongtailClient(running.address) as client,
    ):
        # What was built is used.
        assert client.server_info().index.delta_count == 0
        check_exact(client, questions(material), filled.items)
    check_store(filled.home)
    tally.count("damaged and built anew")


def test_an_index_of_another_store_is_not_used(
    worker_address: str, material: Material, filled: FilledStore, tmp_path: Path, tally: Tally
) -> None:
    home = tmp_path / "other"
    home.mkdir()
    ours = {item.id: item for item in material.catalogue(60)}
    with (
        processes.server(home, worker_address, **SETTINGS) as running,
        LongtailClient(running.address) as client,
    ):
        client.upsert_items(ours.values())
        assert running.stop() == 0
    shutil.rmtree(home / "data" / "index")
    shutil.copytree(filled.home / "data" / "index", home / "data" / "index")
    with (
        processes.server(home, worker_address, **SETTINGS) as running,
        LongtailClient(running.address) as client,
    ):
        check_exact(client, questions(material), ours)
        assert "generation not used reason=" in running.log.read_text()
        assert running.stop() == 0
    tally.count("of another store and not used")


def told(file: str, generation: Path) -> str:
    """Return how the log begins to say what is wrong."""
    if file == VECTORS:
        return VECTORS
    return f"{generation.name}/{file} "
