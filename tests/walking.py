"""The files of a process that runs, and may take some away at any moment: those are passed over."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def paths(folder: Path) -> Iterator[Path]:
    """Yield a folder and all that is in it, however deep."""
    for inner, _, names in os.walk(folder):
        yield Path(inner)
        yield from (Path(inner, name) for name in names)


def contents(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield each file in a folder, however deep, and what is in it."""
    for path in paths(folder):
        with suppress(FileNotFoundError, IsADirectoryError):
            yield path, path.read_bytes()
