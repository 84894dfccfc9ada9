"""What a write promises, whatever keeps it: it is read, once, by all, and forgotten when asked."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from google.rpc import code_pb2
from grpc import StatusCode
from longtail.client import LongtailClient, LongtailError
from longtail.v1.interaction_service_pb2 import Interaction
from longtail.v1.item_pb2 import Item

from tests.conformance.asked import ids, item, items, near, put
from tests.conformance.deployment import Deployment
from tests.conformance.matrix import FIGURE
from tests.faults.items import Material
from tests.faults.stores import WAIT_SECONDS

pytestmark = pytest.mark.model

WRITERS, TURNS = 8, 4
WRITES = 10


def test_a_write_is_read_with_its_revision_through_every_server(
    deployment: Deployment, material: Material
) -> None:
    put(deployment.client, items(material, 40))
    for number in range(WRITES):
        writer, *others = turned(deployment.clients, number)
        written = item(material, "new", 1000 + number)
        revision = writer.upsert_items([written]).revision
        # Where it was written, at once.
        assert near(writer, written.vector).results[0].title == written.title
        for other in others:
            found = near(other, written.vector, min_revision=revision)
            assert (found.results[0].item_id, found.results[0].title) == ("new", written.title)
            assert found.provenance.revision >= revision
            assert other.get_item("new").item.title == written.title
        for other in others:
            revision = other.delete_item("new").revision
            assert "new" not in ids(near(writer, written.vector, min_revision=revision))
    with pytest.raises(LongtailError) as caught:
        deployment.client.recommend(min_revision=10**9)
    assert caught.value.code is StatusCode.FAILED_PRECONDITION


def test_a_write_is_seen_through_the_other_servers_without_its_revision(
    deployment: Deployment, material: Material, record_property: Callable[[str, object], None]
) -> None:
    if not deployment.others:
        pytest.skip("there is one server")
    put(deployment.client, items(material, 40))
    delays = []
    for number in range(WRITES):
        writer, other = turned(deployment.clients, number)
        written = item(material, "new", 1000 + number)
        writer.upsert_items([written])
        start = time.monotonic()
        # A server that has not heard of the others yet either finds nothing.
        while [each.title for each in near(other, written.vector, 1).results] != [written.title]:
            assert time.monotonic() - start < WAIT_SECONDS
            time.sleep(0.002)
        delays.append(time.monotonic() - start)
    shown = f"{sorted(delays)[len(delays) // 2] * 1000:.0f} / {max(delays) * 1000:.0f}"
    record_property(
        FIGURE, f"ms until a write is seen through another server, median / most: {shown}"
    )


def test_a_request_that_is_sent_again_has_no_second_effect(
    deployment: Deployment, material: Material
) -> None:
    client = deployment.client
    first, second = (item(material, "one", 1, version) for version in (0, 1))
    written = client.upsert_items([first], request_id="first")
    client.upsert_items([second], request_id="second")
    for asked in deployment.clients:
        assert asked.upsert_items([first], request_id="first") == written
        assert asked.get_item("one").item.title == second.title
        with pytest.raises(LongtailError) as caught:
            asked.upsert_items([second], request_id="first")
        assert caught.value.violations[0].field == "request_id"
    changed = Item(id="one", popularity_prior=5.0)
    updated = client.update_item(changed, ["popularity_prior"], request_id="third")
    deleted = client.delete_item("one", request_id="fourth")
    for asked in deployment.clients:
        again = asked.update_item(changed, ["popularity_prior"], request_id="third")
        assert again == updated
        assert asked.delete_item("one", request_id="fourth") == deleted
    assert [each.id for each in client.list_items()] == []


def test_an_event_that_is_sent_again_counts_once(
    deployment: Deployment, material: Material
) -> None:
    put(deployment.client, [item(material, "counted", 1)])
    before = deployment.client.catalog_stats().interaction_count
    events = [viewed("twice", "counted", number) for number in range(5)]
    recorded = [
        asked.write_interactions(sent).recorded_count
        for asked, sent in zip(
            turned(deployment.clients * 2, 0)[:2], (events[:3], events), strict=False
        )
    ]
    assert recorded == [3, 2]
    for asked in deployment.clients:
        assert asked.write_interactions(events).recorded_count == 0
        assert [each.event_id for each in asked.list_interactions(user_id="twice")] == [
            f"event-{number}" for number in (4, 3, 2, 1, 0)
        ]
        popularity = asked.get_item_popularity("counted")
        assert popularity.popularity == 5
    assert deployment.client.catalog_stats().interaction_count == before + 5


def test_what_writers_write_side_by_side_is_all_there_in_one_order(
    deployment: Deployment, material: Material
) -> None:
    before = deployment.client.catalog_stats().interaction_count

    def write(place: int) -> list[tuple[int, str]]:
        client = deployment.clients[place % len(deployment.clients)]
        written = []
        for turn in range(TURNS):
            number = place * TURNS + turn
            shared = item(material, "shared", number)
            own = item(material, f"own-{number}", number)
            revision = client.upsert_items([own, shared], timeout=60).revision
            client.write_interactions([viewed(f"writer-{place}", own.id, turn)], timeout=60)
            written.append((revision, shared.title))
        return written

    with ThreadPoolExecutor(WRITERS) as threads:
        told = list(threads.map(write, range(WRITERS)))
    for written in told:
        assert [revision for revision, _ in written] == sorted({r for r, _ in written})
    every = sorted(pair for written in told for pair in written)
    assert len({revision for revision, _ in every}) == len(every)
    last = every[-1][1]
    for asked in deployment.clients:
        newest = deployment.client.server_info().revision
        asked.recommend(min_revision=max(newest, every[-1][0]))
        assert asked.get_item("shared").item.title == last
        listed = [each.id for each in asked.list_items()]
        own = [f"own-{number}" for number in range(WRITERS * TURNS)]
        assert listed == sorted([*own, "shared"])
        for number in (0, WRITERS * TURNS // 2, WRITERS * TURNS - 1):
            names = ids(near(asked, material.vector(number), length=2))
            assert f"own-{number}" in names
    after = deployment.client.catalog_stats().interaction_count
    assert after == before + WRITERS * TURNS


def test_a_person_who_is_deleted_is_known_to_no_server(
    deployment: Deployment, material: Material
) -> None:
    client = deployment.client
    put(client, [*items(material, 20), item(material, "liked", 77)])
    before = client.catalog_stats()
    events = [viewed(user, "liked", number) for user in ("ann", "bob") for number in range(4)]
    revision = client.write_interactions(events).revision
    for asked in deployment.clients:
        assert client.get_item_popularity("liked").popularity == 8
        seen = asked.recommend(user_id="ann", page_size=100, min_revision=revision)
        assert "liked" not in ids(seen)
    deleted = client.delete_user_data("ann")
    assert deleted.deleted_interaction_count == 4
    deployment.finish(deleted.erasure_operation_id)
    for asked in deployment.clients:
        shown = asked.recommend(user_id="ann", page_size=100, min_revision=deleted.revision)
        assert "liked" in ids(shown)
        assert list(asked.list_interactions(user_id="ann")) == []
        assert len(list(asked.list_interactions(user_id="bob"))) == 4
        assert asked.get_item_popularity("liked").popularity == 4
        assert asked.delete_user_data("ann").deleted_interaction_count == 0
    after = client.catalog_stats()
    assert after.interaction_count == before.interaction_count + 4
    assert after.user_count == before.user_count + 1


def test_what_was_shown_is_counted_once(deployment: Deployment, material: Material) -> None:
    put(deployment.client, [item(material, f"shown-{number}", number) for number in range(6)])
    before = deployment.client.get_exposure_report().impression_count
    shown = deployment.client.recommend(page_size=3, strength=0.0)
    for asked in (*deployment.clients, deployment.client):
        revision = asked.record_impressions(shown.recommendation_token, ids(shown)).revision
    for asked in deployment.clients:
        asked.recommend(min_revision=revision)
        report = asked.get_exposure_report()
        assert report.impression_count == before + 3
        assert asked.get_item_popularity(ids(shown)[0]).impression_count == 1
        assert asked.get_item_popularity(ids(shown)[0]).response_rate >= 0
    assert report.item_count >= 3


def test_a_decision_counts_at_every_server(deployment: Deployment, material: Material) -> None:
    client = deployment.client
    put(client, items(material, 20))
    decided = client.decide_items(
        ["item-00004", "nothing"], "hide", author="tests", reason="whether it is hidden"
    )
    assert [status.code for status in decided.statuses] == [code_pb2.OK, code_pb2.NOT_FOUND]
    for asked in deployment.clients:
        hidden = near(asked, material.vector(4), min_revision=decided.revision)
        assert "item-00004" not in ids(hidden)
    decided = client.decide_items(
        ["item-00004"], "approve", author="tests", reason="whether it is shown again"
    )
    for asked in deployment.clients:
        shown = near(asked, material.vector(4), min_revision=decided.revision)
        assert shown.results[0].item_id == "item-00004"


def viewed(user: str, item_id: str, number: int) -> Interaction:
    """Return an event of a person, the later the greater its number."""
    event = Interaction(
        event_id=f"event-{number}", user_id=user, item_id=item_id, type="view", value=1.0
    )
    event.time.FromSeconds(1_700_000_000 + number)
    return event


def turned(clients: list[LongtailClient], number: int) -> list[LongtailClient]:
    """Return the clients, another of them first each time."""
    at = number % len(clients)
    return [*clients[at:], *clients[:at]]
