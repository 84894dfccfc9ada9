"""Fixtures of the tests of faults."""

from pathlib import Path

import pytest

from tests.faults.extent import FULL, FULL_SECONDS
from tests.faults.filled import FilledStore
from tests.faults.items import Material


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not FULL:
        return
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.timeout(FULL_SECONDS))


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
