"""What was deleted of persons is in no file of the store, and nothing brings it back."""

import base64
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from grpc_health.v1.health_pb2 import HealthCheckResponse
from longtail.client import LongtailClient, interaction
from longtail.v1.admin_service_pb2 import OPERATION_STATE_SUCCEEDED

from tests import processes, walking
from tests.films import films

pytestmark = pytest.mark.model

# Long enough that what is left of a row in part still shows one of them.
GONE, GONE_QUERY = "<person-gone>" * 4, "{a query of theirs}"
WAIT_SECONDS = 60.0


def events(client: LongtailClient) -> None:
    """Record what many persons did, mixed, with keys in no order: pages of the store are split."""
    mixed = random.Random(7)
    items = [film.id for film in films()]
    made = []
    for number in range(6000):
        person = GONE if number % 60 == 0 else f"person {mixed.randrange(60)}"
        query = GONE_QUERY * mixed.choice((1, 3, 40)) if person == GONE else "films" * 9
        made.append(
            interaction(
                person,
                mixed.choice(items),
                "view",
                event_id=mixed.randbytes(12).hex(),
                query=query,
            )
        )
    for at in range(0, len(made), 500):
        client.write_interactions(made[at : at + 500])


def traces(home: Path) -> Iterator[str]:
    """Yield each file of the server, data, audit and log, that has anything of the person."""
    wanted = {"the id": b"person-gone", "a query": b"query of theirs"}
    for at in range(3):
        # What is the same of the text however the bytes before it fall.
        whole = base64.b64encode(b"x" * at + GONE.encode())
        wanted[f"base64 {at}"] = whole[4:24]
    for path, content in walking.contents(home):
        yield from (f"{path.name}: {what}" for what, text in wanted.items() if text in content)


def restored(home: Path, snapshot_id: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "longtail.server.operations.restore", snapshot_id],
        env=processes.environment(home),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_nothing_of_a_person_is_left_and_nothing_brings_them_back(
    worker_address: str, tmp_path: Path
) -> None:
    with (
        processes.server(tmp_path, worker_address) as running,
        LongtailClient(running.address) as client,
    ):
        client.upsert_items(films())
        listed = client.recommend("a robot alone in space", user_id=GONE)
        events(client)
        item_id = listed.results[0].item_id
        assert client.record_impressions(listed.recommendation_token, [item_id]).recorded_count == 1
        made = client.wait_for_operation(client.create_snapshot().operation.id)
        # Rows that move as others go leave copies of themselves.
        for number in range(30):
            client.delete_user_data(f"person {number}")
        assert any(traces(tmp_path))
        deleted = client.delete_user_data(GONE)
        assert (deleted.deleted_interaction_count, deleted.deleted_impression_count) == (100, 1)
        ended = client.wait_for_operation(deleted.erasure_operation_id, timeout=WAIT_SECONDS)
        assert ended.state == OPERATION_STATE_SUCCEEDED
        assert list(traces(tmp_path)) == []
        # The list is from before.
        shown = client.record_impressions(listed.recommendation_token, [item_id])
        assert shown.recorded_count == 0
        check = client.wait_for_operation(client.verify_snapshot(made.snapshot_id).operation.id)
        assert check.state == OPERATION_STATE_SUCCEEDED
        [snapshot] = client.list_snapshots().snapshots
        assert 0 < snapshot.interaction_count < 6000
        assert running.stop() == 0
    assert list(traces(tmp_path)) == []

    restored(tmp_path, made.snapshot_id)
    with (
        processes.server(tmp_path, worker_address) as running,
        LongtailClient(running.address) as client,
    ):
        assert list(client.list_interactions(user_id=GONE)) == []
        assert client.record_impressions(listed.recommendation_token, [item_id]).recorded_count == 0
        # Whoever comes back is somebody new.
        again = client.recommend("a robot alone in space", user_id=GONE)
        token = again.recommendation_token
        assert client.record_impressions(token, [again.results[0].item_id]).recorded_count == 1
        deleted = client.delete_user_data(GONE)
        ended = client.wait_for_operation(deleted.erasure_operation_id, timeout=WAIT_SECONDS)
        assert ended.state == OPERATION_STATE_SUCCEEDED
        assert running.stop() == 0
    assert list(traces(tmp_path)) == []


@pytest.mark.slow
def test_a_kill_after_the_deletion_and_a_restore_at_once_leave_nothing(
    worker_address: str, tmp_path: Path
) -> None:
    with (
        processes.server(tmp_path, worker_address) as running,
        LongtailClient(running.address) as client,
    ):
        client.upsert_items(films())
        events(client)
        made = client.wait_for_operation(client.create_snapshot().operation.id)
        client.delete_user_data(GONE)
        running.stop(signal.SIGKILL)
    assert any(traces(tmp_path))
    restored(tmp_path, made.snapshot_id)
    with (
        processes.server(tmp_path, worker_address) as running,
        LongtailClient(running.address) as client,
    ):
        assert list(client.list_interactions(user_id=GONE)) == []
        until = time.monotonic() + WAIT_SECONDS
        while left := list(traces(tmp_path)):
            assert time.monotonic() < until, left
            time.sleep(0.2)
        assert running.stop() == 0
    assert list(traces(tmp_path)) == []


def test_what_is_too_old_leaves_every_file_after_a_restart(
    worker_address: str, tmp_path: Path
) -> None:
    with (
        processes.server(tmp_path, worker_address) as running,
        LongtailClient(running.address) as client,
    ):
        client.upsert_items(films())
        long_ago = datetime.now(UTC) - timedelta(days=40)
        ids = [film.id for film in films()]
        old = [
            interaction(
                GONE, ids[n % len(ids)], "view", event_id=f"{n}", time=long_ago, query=GONE_QUERY
            )
            for n in range(1500)
        ]
        client.write_interactions(old[:1000])
        client.write_interactions([*old[1000:], interaction("ann", "50", "view")])
        made = client.wait_for_operation(client.create_snapshot().operation.id)
        assert running.stop() == 0
    assert any(traces(tmp_path))
    with (
        processes.server(tmp_path, worker_address, LONGTAIL_INTERACTION_DAYS="30") as running,
        LongtailClient(running.address) as client,
    ):
        processes.wait_until(lambda: not list(traces(tmp_path)), running.log)
        assert list(client.list_interactions(user_id=GONE)) == []
        assert len(list(client.list_interactions(user_id="ann"))) == 1
        refused = client.write_interactions(old[:1])
        assert refused.recorded_count == 0
        assert "LONGTAIL_INTERACTION_DAYS" in refused.statuses[0].message
        assert (
            processes.health(running.address, "interaction-retention")
            == HealthCheckResponse.SERVING
        )
        check = client.wait_for_operation(client.verify_snapshot(made.snapshot_id).operation.id)
        assert check.state == OPERATION_STATE_SUCCEEDED
        assert running.stop() == 0
    assert list(traces(tmp_path)) == []
    assert '"interactions expired", "count": 1500' in (tmp_path / "audit/audit.jsonl").read_text()
