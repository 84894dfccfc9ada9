"""A wall clock that the test sets, for a process of ours."""

import mmap
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("clock.c")


class FakeClock:
    """A clock that is wrong by `offset` seconds in processes with these `variables`."""

    def __init__(self, mapped: mmap.mmap, variables: dict[str, str]) -> None:
        self._mapped = mapped
        self.variables = variables

    def set(self, offset: int) -> None:
        """Set it to so many seconds after the true time."""
        self._mapped[:8] = struct.pack("=q", offset)


@contextmanager
def fake_clock(folder: Path) -> Iterator[FakeClock]:
    """Make a clock, right at first; skip the test where there is no compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("a clock that can be set has to be compiled, and there is no cc")
    library, offset = folder / "clock.so", folder / "clock"
    command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True)
    offset.write_bytes(bytes(8))
    with offset.open("r+b") as file, mmap.mmap(file.fileno(), 8) as mapped:
        yield FakeClock(mapped, {"LD_PRELOAD": str(library), "FAKE_CLOCK": str(offset)})
