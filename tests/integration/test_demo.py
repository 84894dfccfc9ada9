"""`python -m demo` as a user has it: real worker, real server, real films."""

import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from longtail.client import LongtailClient
from longtail.export.wheel_asset import AssetError, fetch
from longtail.v1.item_pb2 import Item

from demo.assets import FILMS as FILM_FILES
from tests.documents import Block, all_blocks
from tests.node_packages import node_modules
from tests.processes import ROOT, environment, free_address, start

# The documents have many commands, each a process.
pytestmark = [pytest.mark.model, pytest.mark.timeout(1200)]

READY_SECONDS = 300.0
STOP_SECONDS = 60.0
FILMS, RATINGS = 1681, 100_000
EXAMPLES = ROOT / "examples"
SHOWN_ADDRESS = "127.0.0.1:50051"
# What a command of README or docs says when this is in it.
SAID = {
    "recommend": "relevance loss",
    "explain": r"Star Wars \(1977\)",
    "--pin 50@1": r"^│ +1 │ 50 +│ Star Wars",
    "--explore 2": r"exploration.* propensity 0\.\d+",
    "--pages 2": r"^│ +20 │",
    "compare": r"strict +. strength=0\.5",
    "exposure": "Gini coefficient",
    "items popularity": r"│ rating │ +583 │",
    "import items items.csv --list-column": r"^imported +2",
    "import items items.csv --check": r"^usable +2",
    "import interactions interactions.csv": r"^imported +2",
    "import items article.csv": r"^imported +2",
    "import interactions article.csv": r"^imported +3",
    "review list": r"│ reported twice",
    "review history": "from-elsewhere",
    "snapshot list": r"\d{4}-\d\d-\d\d",
}
# The same of a program.
PRINTED = {
    "strength=0.3": r"^1 .+ 0\.\d+\n(.|\n)*^tail \d\.\d+ loss \d\.\d+",
    "filter=nineties": r"\A(.+ \(199\d\)\n){10}\Z",
}


def with_films(home: Path, artefact: Path) -> Path:
    try:
        fetch(FILM_FILES, ROOT / "var" / "cache")
    except AssetError as error:
        pytest.skip(f"the films cannot be had: {error}")
    (home / "models").symlink_to(artefact.parent)
    (home / "cache").symlink_to(ROOT / "var" / "cache")
    return home


@dataclass
class Reader:
    """Somebody in a folder of their own, beside a demo that can be stopped and started again."""

    folder: Path
    variables: dict[str, str]
    catalogue: str = "films"
    logs: list[Path] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run the demo; return when it is ready."""
        log = self.folder / f"demo-{len(self.logs)}.log"
        self.logs.append(log)
        self.process = start("demo", log, self.variables, [self.catalogue])
        deadline = time.monotonic() + READY_SECONDS
        while "Longtail is ready" not in log.read_text():
            assert self.process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop the demo as a user does."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(STOP_SECONDS) == 0, self.logs[-1].read_text()

    def client(self) -> LongtailClient:
        return LongtailClient(self.variables["LONGTAIL_SERVER_ADDRESS"])

    def run(self, *command: str | Path) -> str:
        """Return what a program prints; it is called as `python` where it begins with an option."""
        python = [sys.executable] if str(command[0]).startswith("-") else []
        done = subprocess.run(
            [*python, *map(str, command)],
            env={**self.variables, "COLUMNS": "200"},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout


@pytest.fixture(scope="module")
def reader(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Yield a reader of the documents, for all of whom there is one demo."""
    home = with_films(tmp_path_factory.mktemp("reader"), artefact)
    reading = Reader(home, environment(home))
    try:
        reading.start()
        yield reading
    finally:
        if reading.process is not None and reading.process.poll() is None:
            # Its worker and server go with it.
            reading.process.kill()
            reading.process.wait()


def test_it_loads_the_films_recommends_and_keeps_what_the_user_did(reader: Reader) -> None:
    first = reader.logs[0].read_text()
    assert "server | " in first
    assert re.search(rf"Longtail is ready .*{FILMS} films, {RATINGS} ratings", first)
    with reader.client() as client:
        assert len(client.recommend("space adventure with robots", page_size=5).results) == 5
        client.upsert_items([Item(id="mine", title="A film of my own")])
        client.delete_item("1600")
        before = client.catalog_stats()
    reader.stop()
    reader.start()
    with reader.client() as client:
        assert client.get_item("mine").item.title == "A film of my own"
        # Nothing was loaded again.
        after = client.catalog_stats()
        assert after.item_count == before.item_count
        assert after.interaction_count == before.interaction_count


def test_an_interrupted_load_goes_on_and_overwrites_nothing(reader: Reader) -> None:
    with reader.client() as client:
        title = client.get_item("1601").item.title
        client.upsert_items([Item(id="1602", title="Changed")])
        client.delete_item("1601")
        before = client.catalog_stats()
    reader.stop()
    (reader.folder / "data" / "ml-100k.loaded").unlink()
    reader.start()
    with reader.client() as client:
        assert client.get_item("1601").item.title == title
        assert client.get_item("1602").item.title == "Changed"
        assert client.catalog_stats().interaction_count >= RATINGS
        assert client.catalog_stats().interaction_count == before.interaction_count


def test_what_readme_and_docs_show_works(reader: Reader) -> None:
    said, printed = set(SAID), set(PRINTED)
    for block in all_blocks():
        if block.not_run:
            continue
        if block.language == "csv":
            (reader.folder / block.name).write_text(block.text)
        elif block.language == "sh":
            for command in block.commands:
                said -= check(command, command_of(reader, command), SAID)
        elif block.language == "python":
            printed -= check(block.text, program_of(reader, block), PRINTED)
    assert not said, "no command is known by this"
    assert not printed, "no program is known by this"
    assert (reader.folder / "catalogue.jsonl.gz").stat().st_size > 10_000


def check(shown: str, output: str, expected: dict[str, str]) -> set[str]:
    """Assert that the output is as expected of what is shown; return by what it was known."""
    known = {part for part in expected if part in shown}
    for part in known:
        assert re.search(expected[part], output, re.MULTILINE), (shown, output)
    return known


def command_of(reader: Reader, command: str) -> str:
    arguments: Sequence[str] = shlex.split(command.removeprefix(".venv/bin/longtail "))
    return reader.run("-m", "longtail.client.cli", *arguments)


def program_of(reader: Reader, block: Block) -> str:
    assert SHOWN_ADDRESS in block.text
    address = reader.variables["LONGTAIL_SERVER_ADDRESS"]
    return reader.run("-c", block.text.replace(SHOWN_ADDRESS, address))


def test_the_example_in_python_shows_what_the_dial_does(reader: Reader) -> None:
    shown = reader.run("-P", EXAMPLES / "recommend.py", "space adventure with robots")
    strict, lenient = re.findall(r"^strength ([\d.]+): (\d+)% tail", shown, re.MULTILINE)
    assert (strict[0], lenient[0]) == ("0", "0.5")
    assert int(strict[1]) < int(lenient[1])
    results = re.findall(r"^  (\d) .+ \((199\d)\) \(BUCKET_\w+\): \w+", shown, re.MULTILINE)
    assert [int(rank) for rank, _ in results] == [*range(1, 6), *range(1, 6)]
    for score, *parts in re.findall(
        r"score (.+) = \w+ (.+) \+ \w+ (.+) \+ \w+ (.+) \+ \w+ (.+)$", shown, re.M
    ):
        assert float(score) == pytest.approx(sum(map(float, parts)), abs=0.003)


def test_the_example_of_an_import_can_be_repeated(reader: Reader) -> None:
    (block,) = (block for block in all_blocks() if block.name == "article.csv")
    file = reader.folder / "mine.csv"
    file.write_text(block.text.replace("lantern", "lamp").replace("kelp", "weed"))
    first = reader.run("-P", EXAMPLES / "import_article.py", file)
    assert "items: 2 imported, 0 refused\ninteractions: 3 new, 0 known before" in first
    again = reader.run("-P", EXAMPLES / "import_article.py", file)
    assert "interactions: 0 new, 3 known before" in again
    assert "Lantern Festival" in command_of(reader, "items get lamp")


def test_the_program_in_node_needs_nothing_but_the_contracts(reader: Reader) -> None:
    (block,) = (block for block in all_blocks() if block.language == "js")
    shown = re.match(r"// npm install (.+) && node (.+) (.+)\n", block.text)
    assert shown is not None
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node on this machine")
    packages, program, contracts = shown[1].split(), shown[2], shown[3]
    (reader.folder / "node_modules").symlink_to(node_modules(packages, ROOT / "var" / "cache"))
    (reader.folder / program).write_text(block.text)
    stubs = shutil.ignore_patterns("*.py", "*.pyi", "__pycache__")
    shutil.copytree(ROOT / contracts, reader.folder / contracts, ignore=stubs)
    answer = reader.run(node, program, contracts)
    assert re.fullmatch(r"(\d .+ BUCKET_(HEAD|MID|TAIL)\n){5}", answer)


def test_without_a_network_the_program_in_node_is_skipped_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("npm") is None:
        pytest.skip("there is no npm on this machine")
    monkeypatch.setenv("npm_config_registry", f"http://{free_address()}")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
    with pytest.raises(pytest.skip.Exception, match="npm reaches no packages: ECONNREFUSED"):
        node_modules(["@grpc/grpc-js@1"], tmp_path)
    assert not list(tmp_path.glob("node-*"))
