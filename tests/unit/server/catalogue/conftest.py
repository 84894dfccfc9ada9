"""A store of items, open for one test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.server.catalogues import Written, opened


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    """Give a store in the test's own folder."""
    with opened(tmp_path) as found:
        yield found
