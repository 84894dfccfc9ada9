"""With a key of pseudonyms no file of the server, log and audit included, has an id of a person."""

import base64
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from longtail.client import Access, LongtailClient, LongtailError, interaction
from longtail.v1.admin_service_pb2 import OPERATION_STATE_SUCCEEDED

from tests import processes, walking
from tests.films import films

pytestmark = pytest.mark.model

ANN = "<person-ann>" * 4


def traces(home: Path) -> Iterator[str]:
    """Yield each file under `home` that has anything of the id, as it is or in base64."""
    wanted = [b"person-ann", *(base64.b64encode(b"x" * n + ANN.encode())[4:24] for n in range(3))]
    for path, content in walking.contents(home):
        if any(text in content for text in wanted):
            yield path.name


def test_no_id_is_anywhere_and_persons_are_found_by_it(worker_address: str, tmp_path: Path) -> None:
    key, home = tmp_path / "key", tmp_path / "home"
    key.write_text("a secret of thirty-two characters")
    key.chmod(0o600)
    home.mkdir()
    settings = {"LONGTAIL_PSEUDONYM_KEY": str(key), "LONGTAIL_LOG_LEVEL": "debug"}
    access = Access(key=keys(home, "add", "shop", "--role", "admin", "--events", "1002").strip())
    mixed, items = random.Random(3), [film.id for film in films()]
    with (
        processes.server(home, worker_address, **settings) as running,
        LongtailClient(running.address, access=access) as client,
    ):
        client.upsert_items(films())
        listed = client.recommend("a robot alone in space", user_id=ANN)
        token, item_id = listed.recommendation_token, listed.results[0].item_id
        assert client.record_impressions(token, [item_id]).recorded_count == 1
        events = [
            interaction(
                ANN if n % 5 == 0 else f"person {n % 40}",
                mixed.choice(items),
                "view",
                event_id=f"{n}",
            )
            for n in range(1000)
        ]
        bought = interaction(ANN, item_id, "buy", recommendation_token=token)
        assert not client.write_interactions(events).unattributed
        client.write_interactions([bought])
        # What they did shapes their lists: nothing that they met with comes again.
        again = client.recommend("a robot alone in space", user_id=ANN)
        assert item_id not in {result.item_id for result in again.results}
        recorded = list(client.list_interactions(user_id=ANN))
        assert len(recorded) == 201
        [known_as] = {each.user_id for each in recorded}
        assert "ann" not in known_as
        made = client.wait_for_operation(client.create_snapshot().operation.id)
        assert made.state == OPERATION_STATE_SUCCEEDED
        assert list(traces(home)) == []
        running.stop(9)
    assert list(traces(home)) == []
    # What a key stored is counted with each write, and so is right after a kill.
    stored = f"events=1002 has_items={len(items)} events_today=1002"
    assert stored in keys(home, "list")
    variables = processes.environment(home, LONGTAIL_WORKER_ADDRESS=worker_address)
    refused = subprocess.run(
        [sys.executable, "-m", "longtail.server"],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert refused.returncode != 0
    assert "LONGTAIL_PSEUDONYM_KEY: persons of this store go by pseudonyms" in refused.stderr
    with (
        processes.server(home, worker_address, **settings) as running,
        LongtailClient(running.address, access=access) as client,
    ):
        with pytest.raises(LongtailError, match="1,002 interactions and impressions a day"):
            client.write_interactions([interaction("bob", item_id, "view")])
        # By the pseudonym, as it was listed.
        deleted = client.delete_user_data(known_as)
        assert (deleted.deleted_interaction_count, deleted.deleted_impression_count) == (201, 1)
        assert list(client.list_interactions(user_id=ANN)) == []
        ended = client.wait_for_operation(deleted.erasure_operation_id, timeout=60)
        assert ended.state == OPERATION_STATE_SUCCEEDED
        assert running.stop() == 0
    assert list(traces(home)) == []
    assert not [path for path, of in walking.contents(home / "data") if known_as.encode() in of]


def keys(home: Path, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "longtail.server.keys", *arguments],
        env=processes.environment(home),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
