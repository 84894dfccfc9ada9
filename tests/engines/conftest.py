"""Fixtures of the tests that need engines which `make test` does not start."""

from collections.abc import Iterator

import pytest

from tests import milvus


@pytest.fixture(scope="session")
def milvus_server() -> Iterator[milvus.Milvus]:
    """Return a real Milvus, shared by the session."""
    if not milvus.INSTALLED:
        pytest.skip("no Milvus: run `make test-engines`")
    with milvus.running() as server:
        yield server
