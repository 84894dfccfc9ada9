"""The load test against our real processes: that it measures what was served, and says so."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from longtail.client import LongtailClient
from longtail.v1.item_pb2 import Item

from tests import processes

pytestmark = [pytest.mark.model]

TEXTS = (
    "A clown fish crosses the ocean to find his son",
    "Two detectives hunt a killer who follows the seven deadly sins",
    "A chess champion loses to a machine",
    "A cook opens a restaurant in a lighthouse",
)


@pytest.fixture(scope="module")
def address(worker_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with processes.server(tmp_path_factory.mktemp("home"), worker_address) as running:
        with LongtailClient(running.address) as client:
            client.upsert_items(Item(id=str(n), text=text) for n, text in enumerate(TEXTS))
        yield running.address


@pytest.mark.parametrize("scenario", ["query", "person", "mixed"])
def test_a_real_server_is_measured(address: str, tmp_path: Path, scenario: str) -> None:
    outcome = tmp_path / "outcome.json"
    done = subprocess.run(
        [sys.executable, "-m", "loadtest", "--rate", "20", "--seconds", "2", "--warmup", "1",
         "--scenario", scenario, "--address", address, "--slo", "errors=0%",
         "--json", str(outcome)],
        cwd=processes.ROOT,
        env=processes.environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads(outcome.read_text())
    assert written["offered"] == written["answered"] == 40
    assert written["errors"] == {}
    assert written["server_ms"]["total"]["p50"] <= written["latency_ms"]["p50"]
    assert (written["server_ms"]["embedding"]["max"] > 0.1) == (scenario != "person")
