"""Fixtures of the tests of faults, and the report of what they went through."""

from pathlib import Path

import pytest

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
def filled_store(
    worker_address: str, material: Material, tmp_path_factory: pytest.TempPathFactory
) -> FilledStore:
    """Return a store with many items, to be copied."""
    return FilledStore.make(tmp_path_factory.mktemp("filled"), worker_address, material)


@pytest.fixture
def filled(filled_store: FilledStore, tmp_path: Path) -> FilledStore:
    """Return a store of the test's own, with many items."""
    return filled_store.copied(tmp_path)
