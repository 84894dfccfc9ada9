"""What holds for all tests, and fixtures that many share: the default encoder, the data."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import postgresql as real_postgresql
from tests import processes
from tests.postgresql import PostgreSQL

ROOT = Path(__file__).parents[1]

# How long an example takes is the machine's affair.
settings.register_profile("longtail", deadline=None)
settings.load_profile("longtail")

LONGEST_NAME = 60


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a parameter by its argument where its value may not be the same in each process.

    Tokens and compressed files hold chance or the time; processes that share the tests between them
    have to give them the same names.
    """
    is_name = not isinstance(val, bytes) and not (isinstance(val, str) and len(val) > LONGEST_NAME)
    return None if is_name else argname


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
    folder = Path(os.environ.get("LONGTAIL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no development data in {folder}: set LONGTAIL_DATA")
    return folder


@pytest.fixture(scope="session")
def worker_address(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a real worker with the default encoder, shared by the session."""
    with processes.worker(tmp_path_factory.mktemp("worker"), artefact) as running:
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
