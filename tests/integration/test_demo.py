"""`python -m demo` as a user has it: real worker, real server, real films."""

import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from longtail.client import LongtailClient
from longtail.v1.item_pb2 import Item

from demo.assets import CATALOGUE, AssetError, fetch
from tests.processes import ROOT, environment, free_address, start

pytestmark = pytest.mark.model

READY_SECONDS = 120.0
STOP_SECONDS = 60.0
FILMS, RATINGS = 1681, 100_000
# What a command of the README says when this is in it.
SAID = {
    "recommend": "relevance loss",
    "explain": r"Star Wars \(1977\)",
    "--pin 50@1": r"^│ +1 │ 50 +│ Star Wars",
    "--explore 2": r"exploration.* propensity 0\.\d+",
    "--pages 2": r"^│ +20 │",
    "compare": r"strict +. strength=0\.5",
    "exposure": "Gini coefficient",
    "items popularity": r"│ rating │ +583 │",
}


@pytest.fixture
def home(artefact: Path, tmp_path: Path) -> Path:
    """Return a fresh LONGTAIL_HOME that has the encoder and the films, and no store."""
    try:
        fetch(CATALOGUE, ROOT / "var" / "cache")
    except AssetError as error:
        pytest.skip(f"the films cannot be had: {error}")
    (tmp_path / "models").symlink_to(artefact.parent)
    (tmp_path / "cache").symlink_to(ROOT / "var" / "cache")
    return tmp_path


@pytest.fixture
def variables(home: Path) -> dict[str, str]:
    return environment(
        home,
        LONGTAIL_SERVER_ADDRESS=free_address(),
        LONGTAIL_WORKER_ADDRESS=free_address(),
        LONGTAIL_SERVER_METRICS_ADDRESS=free_address(),
        LONGTAIL_WORKER_METRICS_ADDRESS=free_address(),
    )


@contextmanager
def demo(log: Path, variables: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run the demo; the block begins when it is ready."""
    log.write_bytes(b"")
    process = start("demo", log, variables)
    try:
        deadline = time.monotonic() + READY_SECONDS
        while "Longtail is ready" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield process
    finally:
        if process.poll() is None:
            # Its worker and server go with it.
            process.kill()
            process.wait()


def stop(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(STOP_SECONDS)


def test_it_recommends_stops_and_keeps_what_the_user_did(
    home: Path, variables: dict[str, str]
) -> None:
    log = home / "demo.log"
    with demo(log, variables) as process:
        with LongtailClient(variables["LONGTAIL_SERVER_ADDRESS"]) as client:
            stats = client.catalog_stats()
            assert (stats.item_count, stats.interaction_count) == (FILMS, RATINGS)
            answer = client.recommend("space adventure with robots", page_size=5)
            assert len(answer.results) == 5
            client.upsert_items([Item(id="mine", title="A film of my own")])
            client.delete_item("1")
        assert stop(process) == 0, log.read_text()
    output = log.read_text()
    assert "server | " in output
    assert re.search(r"Longtail is ready .*1681 films, 100000 ratings", output)

    with demo(log, variables) as process:
        with LongtailClient(variables["LONGTAIL_SERVER_ADDRESS"]) as client:
            assert client.get_item("mine").item.title == "A film of my own"
            # One of theirs more, one of ours less: nothing was loaded again.
            assert client.catalog_stats().item_count == FILMS
        assert stop(process) == 0, log.read_text()


def test_what_the_readme_shows_works(home: Path, variables: dict[str, str]) -> None:
    readme = (ROOT / "README.md").read_text()
    address = variables["LONGTAIL_SERVER_ADDRESS"]
    first, filtered = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    blocks = "".join(re.findall(r"```sh\n(.*?)```", readme, re.DOTALL))
    commands = re.findall(r"^\.venv/bin/longtail (.*)$", blocks, re.MULTILINE)
    with demo(home / "demo.log", variables):
        for command in commands:
            # Its files are the reader's own.
            if command.startswith("import"):
                continue
            arguments = ["-m", "longtail.client.cli", *shlex.split(command)]
            shown = run(arguments, {**variables, "COLUMNS": "200"}, home)
            for part, said in SAID.items():
                if part in command:
                    assert re.search(said, shown, re.MULTILINE), shown
        assert (home / "catalogue.jsonl.gz").stat().st_size > 10_000
        for program in (first, filtered):
            assert "127.0.0.1:50051" in program
        shown = run(["-c", first.replace("127.0.0.1:50051", address)], variables, home)
        assert re.search(r"^1 .+ 0\.\d+$", shown, re.MULTILINE), shown
        assert re.search(r"^tail \d\.\d+ loss \d\.\d+", shown, re.MULTILINE), shown
        shown = run(["-c", filtered.replace("127.0.0.1:50051", address)], variables, home)
        years = re.findall(r"\((\d{4})\)$", shown, re.MULTILINE)
        assert len(years) == 10
        assert all(1990 <= int(year) < 2000 for year in years)


def run(arguments: list[str], variables: dict[str, str], folder: Path) -> str:
    """Return what Python prints when it is run with `arguments` in a folder."""
    done = subprocess.run(
        [sys.executable, *arguments],
        env=variables,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_interrupted_load_goes_on_and_overwrites_nothing(
    home: Path, variables: dict[str, str]
) -> None:
    log = home / "demo.log"
    with demo(log, variables) as process:
        with LongtailClient(variables["LONGTAIL_SERVER_ADDRESS"]) as client:
            client.upsert_items([Item(id="2", title="Changed")])
            client.delete_item("1")
        assert stop(process) == 0, log.read_text()
    (home / "data" / "ml-100k.loaded").unlink()

    with demo(log, variables) as process:
        with LongtailClient(variables["LONGTAIL_SERVER_ADDRESS"]) as client:
            assert client.get_item("1").item.title == "Toy Story (1995)"
            assert client.get_item("2").item.title == "Changed"
            assert client.catalog_stats().interaction_count == RATINGS
        assert stop(process) == 0, log.read_text()
