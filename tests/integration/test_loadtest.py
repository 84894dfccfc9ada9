"""The load test against our real processes: that it measures what was served, and says so."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from longtail.client import LongtailClient
from longtail.client.calls.attributes import attributes
from longtail.v1.item_pb2 import Item

from loadtest.scenarios import Scenario, marked_users
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
            client.upsert_items(
                Item(id=str(n), text=text, attributes=attributes({"kind": "film"}))
                for n, text in enumerate(TEXTS)
            )
        yield running.address


def loadtest(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "loadtest", *arguments],
        cwd=processes.ROOT,
        env=processes.environment(home),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(each, marks=() if each is Scenario.MIXED else pytest.mark.slow)
        for each in Scenario
    ],
)
def test_a_real_server_is_measured(
    address: str, worker_address: str, tmp_path: Path, scenario: Scenario
) -> None:
    outcome, shown = tmp_path / "outcome.json", tmp_path / "outcome.html"
    done = loadtest(
        tmp_path, "run", "--rate", "20", "--seconds", "1.5", "--warmup", "0.5",
        "--scenario", scenario, "--address", address, "--worker-address", worker_address,
        "--slo", "errors=0%", "--allow-writes", "--json", str(outcome), "--html", str(shown),
        "--deadline", "60",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads(outcome.read_text())
    [trial] = written["trials"]
    assert trial["offered"] == trial["answered"] == 30
    assert trial["errors"] == {}
    assert trial["server_ms"]["total"]["p50"] <= trial["latency_ms"]["p50"]
    # A vector that is known is looked up in less than a tenth of a millisecond.
    assert (trial["server_ms"]["embedding"]["max"] > 0.01) == (scenario is not Scenario.PERSON)
    assert {"server", "worker", "load test"} == set(trial["processes"])
    assert all(each["megabytes"] > 30 for each in trial["processes"].values())
    assert sum(each["offered"] for each in trial["timeline"]) == 30
    assert (trial.get("imported_per_second", 0) > 0) == (scenario is Scenario.IMPORT)
    # What was written is gone.
    with LongtailClient(address) as client:
        assert {item.id for item in client.list_items()} == {str(n) for n in range(len(TEXTS))}
        assert not list(client.list_interactions(user_id=marked_users()[0]))
    # One page, which draws its plots itself.
    page = shown.read_text()
    assert page.count("<svg") == 3
    assert "http-equiv" not in page
    assert "src=" not in page


@pytest.mark.slow
def test_the_highest_rate_is_found_and_reports_are_compared(address: str, tmp_path: Path) -> None:
    found = [tmp_path / "first.json", tmp_path / "second.json"]
    for each in found:
        done = loadtest(
            tmp_path, "search", "--slo", "p99=60s", "--rate", "5", "--most", "20", "--seconds", "1",
            "--warmup", "0", "--scenario", "person", "--address", address, "--json", str(each),
            "--html", str(tmp_path / "found.html"),
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert "the highest rate that was allowed" in done.stdout
    assert json.loads(found[0].read_text())["rate"] == 20
    assert "Rate against latency" in (tmp_path / "found.html").read_text()

    same = loadtest(tmp_path, "compare", *map(str, found))
    assert same.returncode == 0, same.stdout + same.stderr
    report = json.loads(found[1].read_text())
    found[1].write_text(json.dumps(report | {"rate": 10}))
    worse = loadtest(tmp_path, "compare", *map(str, found))
    assert worse.returncode == 1
    assert "WORSE" in worse.stdout
