"""Fixtures of the tests of faults, and the report of what they went through."""

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from longtail.worker.artefact import load, model_id, write_manifest

from tests import processes
from tests.faults.extent import FULL, FULL_SECONDS
from tests.faults.filled import FilledStore
from tests.faults.items import Material
from tests.faults.tally import Tally

TALLIES = pytest.StashKey[dict[str, Tally]]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not FULL:
        return
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.timeout(FULL_SECONDS))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    tallies = config.stash.get(TALLIES, {})
    if tallies and config.get_verbosity() >= 0:
        terminalreporter.section("faults")
        for tally in tallies.values():
            terminalreporter.write_line(tally.line())


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Tally:
    """Return the tally of the test, whatever its parameters, for the report at the end."""
    name = request.node.originalname.removeprefix("test_").replace("_", " ")
    return request.config.stash.setdefault(TALLIES, {}).setdefault(name, Tally(name))


@pytest.fixture(scope="session")
def material(artefact: Path) -> Material:
    """Return what items of the encoder's dimension are made of."""
    return Material.of(artefact)


@pytest.fixture(scope="session")
def other_encoder(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return another encoder: the default one at full precision, else one that reads less."""
    exact = artefact.with_name(f"{artefact.name}-fp32")
    if (exact / "manifest.json").exists():
        return exact
    folder = Path(shutil.copytree(artefact, tmp_path_factory.mktemp("encoder") / "other"))
    manifest = load(folder).manifest
    changed = model_id("other", prompts=manifest.prompts, max_tokens=128, files=manifest.files)
    write_manifest(folder, dataclasses.replace(manifest, max_tokens=128, model_id=changed))
    return folder


@pytest.fixture(scope="session")
def other_worker_address(
    other_encoder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Return the address of a real worker with the other encoder, which remembers no texts."""
    home = tmp_path_factory.mktemp("other-worker")
    with processes.worker(home, other_encoder, LONGTAIL_WORKER_CACHE_MB="0") as running:
        yield running.address


@pytest.fixture(scope="session")
def filled_store(
    worker_address: str, material: Material, tmp_path_factory: pytest.TempPathFactory
) -> FilledStore:
    """Return a store with many items, to be copied."""
    return FilledStore.make(tmp_path_factory.mktemp("filled"), worker_address, material)


@pytest.fixture
def filled(filled_store: FilledStore, tmp_path: Path) -> FilledStore:
    """Return a store of the test's own, with many items."""
    return filled_store.copied(tmp_path)
