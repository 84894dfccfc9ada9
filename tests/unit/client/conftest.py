from collections.abc import Iterator

import pytest

from tests.unit.client.fake_server import Fake, fake_server


@pytest.fixture
def fake() -> Iterator[Fake]:
    with fake_server() as running:
        yield running
