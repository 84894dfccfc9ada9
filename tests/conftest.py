"""What holds for all tests, and fixtures that many share: the default encoder, the data."""

import dataclasses
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from longtail.worker.artefact import load, model_id, write_manifest

from tests import postgresql as real_postgresql
from tests import processes
from tests.faults.items import DATA, PACKAGES, Material
from tests.faults.tally import Tally
from tests.postgresql import PostgreSQL

ROOT = Path(__file__).parents[1]

# How long an example takes is the machine's affair.
settings.register_profile("longtail", deadline=None)
settings.load_profile("longtail")

LONGEST_NAME = 60
TALLIES = pytest.StashKey[dict[str, Tally]]()


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a parameter by its argument where its value may not be the same in each process.

    Tokens and compressed files hold chance or the time; processes that share the tests between them
    have to give them the same names.
    """
    is_name = not isinstance(val, bytes) and not (isinstance(val, str) and len(val) > LONGEST_NAME)
    return None if is_name else argname


def pytest_report_header() -> str:
    """Say which texts items have: without the data a few of invented ones stand for many."""
    if PACKAGES.exists():
        return f"texts: {PACKAGES}"
    return f"texts: of the dozen films alone, as there is no {PACKAGES}: set LONGTAIL_DATA"


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    tallies = config.stash.get(TALLIES, {})
    if tallies and config.get_verbosity() >= 0:
        terminalreporter.section("faults")
        for tally in tallies.values():
            terminalreporter.write_line(tally.line())


def pytest_configure() -> None:
    logging.getLogger("asyncio").addFilter(_is_not_of_a_closed_loop)


def _is_not_of_a_closed_loop(record: logging.LogRecord) -> bool:
    """Refuse what grpc logs in one test about the event loop of the test before it.

    A process has one queue for the calls of all its loops; what is found there late for a loop that
    is closed by now is an error of the loop that looks, and a log that a test reads whole has it.
    """
    return not record.getMessage().startswith("Exception in callback PollerCompletionQueue")


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Tally:
    """Return the tally of the test, whatever its parameters, for the report at the end."""
    name = request.node.originalname.removeprefix("test_").replace("_", " ")
    return request.config.stash.setdefault(TALLIES, {}).setdefault(name, Tally(name))


@pytest.fixture(scope="session")
def artefact() -> Path:
    """Return the folder of the exported default encoder."""
    home = Path(os.environ.get("LONGTAIL_HOME", ROOT / "var"))
    folder = home / "models" / "all-MiniLM-L6-v2"
    if not (folder / "manifest.json").exists():
        pytest.skip(f"no exported encoder in {folder}: run `make export`")
    return folder


@pytest.fixture(scope="session")
def development_data() -> Path:
    """Return the folder of the development data: real films, playlists and packages."""
    if not DATA.is_dir():
        pytest.skip(f"no development data in {DATA}: set LONGTAIL_DATA")
    return DATA


@pytest.fixture(scope="session")
def worker_address(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a real worker with the default encoder, shared by the session."""
    with processes.worker(tmp_path_factory.mktemp("worker"), artefact) as running:
        yield running.address


@pytest.fixture(scope="session")
def material(artefact: Path) -> Material:
    """Return what items of the encoder's dimension are made of."""
    return Material.of(artefact)


@pytest.fixture(scope="session")
def other_encoder(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return another encoder: the default one at full precision, else one that reads less."""
    exact = artefact.with_name(f"{artefact.name}-fp32")
    if (exact / "manifest.json").exists():
        return exact
    folder = Path(shutil.copytree(artefact, tmp_path_factory.mktemp("encoder") / "other"))
    manifest = load(folder).manifest
    changed = model_id("other", prompts=manifest.prompts, max_tokens=128, files=manifest.files)
    write_manifest(folder, dataclasses.replace(manifest, max_tokens=128, model_id=changed))
    return folder


@pytest.fixture(scope="session")
def other_worker_address(
    other_encoder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Return the address of a real worker with the other encoder, which remembers no texts."""
    home = tmp_path_factory.mktemp("other-worker")
    with processes.worker(home, other_encoder, LONGTAIL_WORKER_CACHE_MB="0") as running:
        yield running.address


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """Return a server that the tests of a process share: who stops it starts it again."""
    with real_postgresql.running() as server:
        yield server


@pytest.fixture
def postgresql_url(postgresql: PostgreSQL) -> Iterator[str]:
    """Return where a database of the test's own is found, which is empty."""
    url = postgresql.new_database()
    yield url
    postgresql.drop(url)
