"""What holds for all tests of the server."""

import pytest
from longtail.server.encoder import worker


@pytest.fixture(autouse=True)
def _patient_with_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take no worker for stuck because the process of the tests stood still for a moment."""
    monkeypatch.setattr(worker, "STUCK_SECONDS", 30.0)
