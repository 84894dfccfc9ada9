"""Files that something happened to: every row is accounted for, and nothing ends in a traceback."""

from pathlib import Path

from tests.mutated_files import read_mutated

FILES = 150


def test_every_row_of_a_mutated_file_is_accounted_for(tmp_path: Path) -> None:
    assert read_mutated(tmp_path, FILES) > FILES / 2
