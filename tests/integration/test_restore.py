"""A store that is put back to a snapshot: what callers hold of before is still good."""

import subprocess
import sys
from pathlib import Path

import pytest
from longtail.client import LongtailClient, interaction

from tests import processes
from tests.films import films

pytestmark = pytest.mark.model


def test_a_purchase_leads_back_to_a_list_from_before_the_restore(
    worker_address: str, tmp_path: Path
) -> None:
    with (
        processes.server(tmp_path, worker_address) as running,
        LongtailClient(running.address) as client,
    ):
        client.upsert_items(films())
        begun = client.create_snapshot()
        made = client.wait_for_operation(begun.operation.id)
        # Given out after the snapshot: it comes back all the same.
        listed = client.recommend("a robot alone in space", user_id="ann")
        assert running.stop() == 0

    restored = subprocess.run(
        [sys.executable, "-m", "longtail.server.operations.restore", made.snapshot_id],
        env=processes.environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert restored.returncode == 0, restored.stderr

    item_id = listed.results[0].item_id
    bought = [
        interaction("ann", item_id, "purchase", recommendation_token=token, event_id=name)
        for name, token in (
            ("known", listed.recommendation_token),
            ("forged", listed.recommendation_token[::-1]),
        )
    ]
    with (
        processes.server(tmp_path, worker_address) as running,
        LongtailClient(running.address) as client,
    ):
        answer = client.write_interactions(bought)
        assert [status.code for status in answer.statuses] == [0, 0]
        assert answer.recorded_count == 2
        assert [(each.position, each.event_id) for each in answer.unattributed] == [(1, "forged")]
        kept = {each.event_id: each for each in client.list_interactions(user_id="ann")}
        assert kept["known"].recommendation_token == listed.recommendation_token
        assert kept["forged"].recommendation_token == ""
        shown = client.record_impressions(listed.recommendation_token, [item_id])
        assert shown.recorded_count == 1
        assert client.get_item_popularity(item_id).impression_count == 1
