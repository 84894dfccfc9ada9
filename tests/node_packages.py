"""Packages of npm for a program that is shown: fetched once, and kept under `var/cache`."""

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

NPM_SECONDS = 120.0
# What npm calls it when it is told to fetch what there is not. All else is the network's.
WRONG = {"E404", "ETARGET", "ERESOLVE", "EINVALIDPACKAGENAME", "EINVALIDTAGNAME", "EUSAGE"}


def node_modules(packages: Sequence[str], cache: Path) -> Path:
    """Return a folder `node_modules` with packages such as `@grpc/grpc-js@1`.

    Skips the test, and says why, where there is no npm or it does not reach a registry.
    """
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("there is no npm on this machine")
    target = cache / f"node-{hashlib.sha256(' '.join(packages).encode()).hexdigest()[:12]}"
    if not target.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".fetching-") as scratch:
            fetched = Path(scratch, "packages")
            fetched.mkdir()
            _install(npm, packages, fetched)
            try:
                fetched.rename(target)
            except OSError:
                # Somebody else fetched them in the meantime.
                if not target.is_dir():
                    raise
    return target / "node_modules"


def _install(npm: str, packages: Sequence[str], folder: Path) -> None:
    quiet = ("--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=0")
    try:
        done = subprocess.run(
            [npm, "install", *quiet, *packages],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=NPM_SECONDS,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm fetched no packages in {NPM_SECONDS:g} s")
    if done.returncode:
        code = re.search(r"code (\w+)", done.stderr)
        assert code is not None, done.stderr
        assert code[1] not in WRONG, done.stderr
        pytest.skip(f"npm reaches no packages: {code[1]}")
