"""What `make wheels` made, installed where nothing else is: from pip to the first answer."""

import os
import shlex
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.documents import README, blocks
from tests.processes import ROOT, free_address

DIST = ROOT / "dist"
PARTS = ("protos", "runtime", "client", "server", "worker", "export")
# Beyond what the reader of the README is promised, for a machine that does more than this.
PATIENCE_SECONDS = 1200
PROMISED_COMMANDS = 5

pytestmark = pytest.mark.timeout(2 * PATIENCE_SECONDS)


def names(distribution: str) -> set[str]:
    (wheel,) = DIST.glob(f"{distribution.replace('-', '_')}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Return the folder of the programs of an empty environment."""
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    return tmp_path / "venv" / "bin"


def environment(programs: Path) -> dict[str, str]:
    """Return that of a machine on which nothing of ours is, nor a compiler is found."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LONGTAIL_", "PYTHON", "VIRTUAL_ENV"))
    }
    return {
        **kept,
        "PATH": f"{programs}:/usr/bin:/bin",
        "CC": "/bin/false",
        "CXX": "/bin/false",
        "LONGTAIL_SERVER_ADDRESS": free_address(),
        "LONGTAIL_SERVER_METRICS_ADDRESS": free_address(),
        "LONGTAIL_WORKER_ADDRESS": free_address(),
        "LONGTAIL_WORKER_METRICS_ADDRESS": free_address(),
    }


def test_no_wheel_claims_a_name_that_is_not_ours_and_each_file_is_in_one() -> None:
    everything: list[str] = []
    for part in PARTS:
        inside = names(f"longtail-{part}")
        assert {name.split("/")[0] for name in inside} == {"longtail"}
        assert "longtail/__init__.py" not in inside
        folder = ROOT / part
        sources = {str(path.relative_to(folder)) for path in (folder / "longtail").rglob("*.py")}
        assert {name for name in inside if name.endswith(".py")} == sources
        everything += inside
    assert len(everything) == len(set(everything))
    assert names("longtail-worker-gpu") == names("longtail-worker")


def test_the_client_alone_brings_neither_server_nor_worker(programs: Path) -> None:
    variables = environment(programs)
    install = ["pip", "install", "--quiet", "--find-links", str(DIST)]
    install += ["--constraint", str(DIST / "constraints.txt"), "longtail-client"]
    subprocess.run(install, env=variables, check=True, timeout=PATIENCE_SECONDS)
    code = (
        "import importlib.util as u, longtail.client as c; c.LongtailClient('127.0.0.1:1').close();"
        "assert not any(map(u.find_spec, ['longtail.server', 'longtail.runtime', 'numpy', 'rich']))"
    )
    subprocess.run(["python", "-c", code], env=variables, check=True, timeout=60)


def test_from_pip_to_the_first_answer_as_the_readme_says(programs: Path, tmp_path: Path) -> None:
    (shown,) = (block for block in blocks(README) if "tests/wheels" in block.not_run)
    (films,) = (block for block in blocks(README) if block.language == "csv")
    assert len(shown.commands) <= PROMISED_COMMANDS
    (tmp_path / films.name).write_text(films.text)
    (tmp_path / "dist").symlink_to(DIST)
    variables = environment(programs)
    began = time.monotonic()
    with ExitStack() as running:
        for command in shown.commands:
            arguments = shlex.split(command.removesuffix("&"))
            if command.endswith("&"):
                running.enter_context(background(arguments, tmp_path, variables))
                continue
            done = subprocess.run(
                arguments,
                cwd=tmp_path,
                env=variables,
                capture_output=True,
                text=True,
                timeout=PATIENCE_SECONDS,
                check=False,
            )
            seconds = time.monotonic() - began
            sys.stdout.write(f"{seconds:6.1f} s  {command}\n")
            logs = "".join(log.read_text() for log in tmp_path.glob("*.log"))
            assert done.returncode == 0, (done.stdout, done.stderr, logs)
    assert "The Harbour" in done.stdout
    check = ["pip", "check"]
    subprocess.run(check, env=variables, check=True, timeout=60)


@contextmanager
def background(arguments: list[str], folder: Path, variables: dict[str, str]) -> Iterator[None]:
    """Run a program until the block ends, and see that it drains."""
    log = (folder / f"{arguments[0]}.log").open("wb")
    with (
        log,
        subprocess.Popen(
            arguments, cwd=folder, env=variables, stdout=log, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                code = process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        assert code == 0
