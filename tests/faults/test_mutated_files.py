"""Ten thousand files that something happened to: see `tests/mutated_files.py`."""

from pathlib import Path

import pytest

from tests.faults.extent import FULL_SECONDS, extent
from tests.mutated_files import read_mutated

FILES = extent(300, 10_000)

pytestmark = pytest.mark.timeout(FULL_SECONDS)


def test_every_row_of_very_many_mutated_files_is_accounted_for(tmp_path: Path) -> None:
    assert read_mutated(tmp_path, FILES) > FILES / 2
