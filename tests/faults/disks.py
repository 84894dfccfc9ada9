"""Small disks that fill up and are freed again."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MOUNT = shutil.which("mount")
BLOCK = bytes(4096)


@contextmanager
def small_disk(folder: Path, kib: int) -> Iterator[None]:
    """Have a disk of so many KiB at `folder` while the block runs; skip the test without rights."""
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={kib}k,mode=700"
    mounted = MOUNT is not None and not _run("mount", "-t", "tmpfs", "-o", options, "none", folder)
    if not mounted:
        pytest.skip("a small disk can only be mounted with the rights of root")
    try:
        yield
    finally:
        # A server that was killed a moment ago may still hold it.
        _run("umount", "--lazy", folder)


def enlarge(folder: Path, kib: int) -> None:
    """Give the disk at `folder` so many KiB."""
    assert not _run("mount", "-o", f"remount,size={kib}k", folder)


def fill(ballast: Path, spare_bytes: int) -> None:
    """Write the file `ballast` until its disk has only about `spare_bytes` left."""
    with ballast.open("ab", buffering=0) as file:
        try:
            while free_bytes(ballast.parent) > spare_bytes:
                file.write(BLOCK)
        except OSError:
            pass


def free_bytes(folder: Path) -> int:
    """Return how much the disk at `folder` still takes."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def _run(*command: str | Path) -> int:
    return subprocess.run(command, capture_output=True, check=False).returncode
