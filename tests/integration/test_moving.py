"""A server's store is moved to PostgreSQL while it serves and is written to."""

import subprocess
import sys
import threading
from pathlib import Path

import grpc
import pytest
from longtail.client import LongtailClient, LongtailError, interaction

from tests import processes
from tests.films import films

pytestmark = pytest.mark.model


def migrate(home: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "longtail.server.operations.migrate", *arguments],
        env=processes.environment(home),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nothing_acknowledged_is_lost_and_what_was_given_out_stays_good(
    worker_address: str, tmp_path: Path, postgresql_url: str
) -> None:
    places = ("--from", f"sqlite:{tmp_path}/data/longtail.db", "--to", postgresql_url)
    acknowledged: list[str] = []
    refused: list[grpc.StatusCode] = []

    def write(client: LongtailClient) -> None:
        # Until the store is where this server cannot write to it.
        while not refused:
            event_id = str(len(acknowledged))
            try:
                client.write_interactions([interaction("ann", "any", "view", event_id=event_id)])
            except LongtailError as error:
                # Held off for a long time, it was not written, and is tried again.
                if error.code is not grpc.StatusCode.UNAVAILABLE:
                    refused.append(error.code)
            else:
                acknowledged.append(event_id)

    with (
        processes.server(tmp_path, worker_address) as running,
        LongtailClient(running.address, timeout=60) as client,
    ):
        client.upsert_items(films())
        listed = client.recommend("a robot alone in space", user_id="bob")
        writer = threading.Thread(target=write, args=(client,))
        writer.start()
        migrate(tmp_path, *places)
        told = migrate(tmp_path, *places, "--switch")
        writer.join(processes.PATIENCE_SECONDS)
        assert refused == [grpc.StatusCode.FAILED_PRECONDITION]
        # Reads go on from its view.
        assert client.recommend("a robot alone in space", user_id="bob").results
        assert running.stop() == 0
    assert "moved: " in told

    with (
        processes.server(tmp_path, worker_address, LONGTAIL_STORE=postgresql_url) as running,
        LongtailClient(running.address) as client,
    ):
        kept = {each.event_id for each in client.list_interactions(user_id="ann")}
        assert kept == set(acknowledged)
        again = client.recommend("a robot alone in space", user_id="bob")
        assert [each.item_id for each in again.results] == [each.item_id for each in listed.results]
        shown = client.record_impressions(listed.recommendation_token, [listed.results[0].item_id])
        assert shown.recorded_count == 1
        assert running.stop() == 0
    # The former refuses to start.
    with (
        pytest.raises(AssertionError, match="was moved to postgresql://"),
        processes.server(tmp_path, worker_address),
    ):
        pass
