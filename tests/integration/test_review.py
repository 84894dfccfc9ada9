"""Review through real processes and the command line: the queue, decisions, terms, and kill -9."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from longtail.client import LongtailClient
from longtail.v1 import item_pb2
from longtail.v1 import recommendation_service_pb2 as pb

from tests import processes
from tests.served_films import SPACE, catalogue, ids, result_of

pytestmark = pytest.mark.model

WAIT_SECONDS = 60.0


@pytest.fixture(scope="module")
def address(worker_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of two processes that serve a dozen films."""
    home = tmp_path_factory.mktemp("review")
    with processes.server(home, worker_address, "--processes", "2") as running:
        with LongtailClient(running.address) as client:
            client.upsert_items(catalogue())
        yield running.address


def review(*arguments: str, address: str, code: int = 0) -> Any:  # noqa: ANN401
    """Return what `longtail review` prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "longtail.client.cli", "review", *arguments, "--json"],
        env=processes.environment(
            Path(), LONGTAIL_SERVER_ADDRESS=address, LONGTAIL_AUTHOR="ann", COLUMNS="200"
        ),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def decide(*arguments: str, address: str) -> int:
    return int(review(*arguments, address=address)["revision"])


def listed(address: str, min_revision: int) -> pb.RecommendResponse:
    # Each connection is that of one of the processes.
    with LongtailClient(address) as client:
        return client.recommend(SPACE, page_size=20, min_revision=min_revision)


def explained(address: str, item_id: str, min_revision: int) -> pb.ExplainItemResponse:
    with LongtailClient(address) as client:
        return client.explain_item(item_id, SPACE, page_size=20, min_revision=min_revision)


def test_what_waits_is_listed_approved_and_then_recommended(address: str) -> None:
    [queued] = review("list", address=address)
    assert queued["item"]["id"] == "draft"
    revision = decide("approve", "draft", "--reason", "seen", address=address)
    assert review("list", address=address) == []
    assert "draft" in ids(listed(address, revision))
    found = explained(address, "draft", revision)
    assert found.verdict == pb.VERDICT_LISTED
    assert (found.decision.author, found.decision.reason) == ("ann", "seen")

    with LongtailClient(address) as client:
        draft = item_pb2.Item(id="draft", title="Another draft", state=item_pb2.STATE_IN_REVIEW)
        revision = client.upsert_items([draft]).revision
    assert "draft" not in ids(listed(address, revision))
    assert [each["item"]["title"] for each in review("list", address=address)] == ["Another draft"]
    # What its writer hides stays hidden.
    revision = decide("approve", "secret", "--reason", "why not", address=address)
    assert explained(address, "secret", revision).verdict == pb.VERDICT_HIDDEN


def test_what_is_hidden_for_a_time_comes_back_without_a_write(address: str) -> None:
    until = datetime.now(UTC) + timedelta(hours=1)
    options = ("--reason", "complaint 17", "--until", until.isoformat())
    revision = decide("hide", "solaris", *options, address=address)
    assert "solaris" not in ids(listed(address, revision))
    found = explained(address, "solaris", revision)
    assert found.verdict == pb.VERDICT_HIDDEN
    assert found.decision.expire_time.ToDatetime(UTC) == until
    assert "as ann decided: complaint 17." in found.summary

    with LongtailClient(address) as client:
        until = datetime.now(UTC) + timedelta(seconds=3)
        revision = client.decide_items(
            ["solaris"], "hide", author="ann", reason="complaint 17", expire_time=until
        ).revision
    deadline = time.monotonic() + WAIT_SECONDS
    while "solaris" not in ids(answer := listed(address, revision)):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert datetime.now(UTC) >= until
    assert answer.provenance.revision == revision
    told = review("history", "solaris", address=address)
    assert [each["kind"] for each in told] == ["DECISION_KIND_HIDE"] * 2
    assert not any(each["in_force"] for each in told)


def test_the_breakdown_says_where_a_penalty_comes_from(address: str) -> None:
    with LongtailClient(address) as client:
        before = result_of(client.recommend(SPACE, page_size=20), "moon").breakdown
    assert (before.penalty, before.penalty_decision) == (0, 0)
    revision = decide("penalise", "moon", "--penalty", "0.5", "--reason", "bait", address=address)
    said = result_of(listed(address, revision), "moon").breakdown
    assert (said.penalty, said.penalty_decision) == (0.5, revision)
    assert said.relevance == pytest.approx(0.5 * before.relevance, rel=1e-3)
    found = explained(address, "moon", revision)
    assert found.decision.revision == revision
    assert "A penalty takes 50% of its relevance, as ann decided: bait." in found.summary
    decide("approve", "moon", "--reason", "mended", address=address)


def test_what_is_blocked_stays_so_whatever_is_written_under_its_id(address: str) -> None:
    missing = review("hide", "ship", "--reason", "spam", address=address, code=1)
    assert missing["statuses"][0]["code"] == 5
    decide("block", "ship", "--reason", "spam", address=address)
    block_list = ("history", "--kind", "block", "--in-force")
    assert [each["item_id"] for each in review(*block_list, address=address)] == ["ship"]
    ship = item_pb2.Item(id="ship", title=SPACE)
    with LongtailClient(address) as client:
        for _ in range(2):
            revision = client.upsert_items([ship]).revision
            assert "ship" not in ids(listed(address, revision))
            revision = client.delete_item("ship").revision
        revision = client.upsert_items([ship]).revision
    assert explained(address, "ship", revision).verdict == pb.VERDICT_HIDDEN
    revision = decide("approve", "ship", "--reason", "another now", address=address)
    assert "ship" in ids(listed(address, revision))
    assert review(*block_list, address=address) == []


def test_a_decision_outlives_the_process(worker_address: str, tmp_path: Path) -> None:
    with processes.server(tmp_path, worker_address) as running:
        with LongtailClient(running.address) as client:
            client.upsert_items(catalogue())
            until = datetime.now(UTC) + timedelta(hours=1)
            client.decide_items(
                ["moon"],
                "penalise",
                penalty=0.25,
                author="bob",
                reason="for now",
                expire_time=until,
            )
            last = client.decide_items(["solaris"], "hide", author="bob", reason="for good")
        os.kill(running.process.pid, signal.SIGKILL)
        running.process.wait(30)
    with processes.server(tmp_path, worker_address) as running:
        answer = listed(running.address, last.revision)
        assert "solaris" not in ids(answer)
        said = result_of(answer, "moon").breakdown
        assert (said.penalty, said.penalty_decision) == (0.25, last.revision - 1)
        found = explained(running.address, "moon", last.revision)
        assert found.decision.expire_time.ToDatetime(UTC) == until
