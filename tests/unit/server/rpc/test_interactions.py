"""Interactions over gRPC."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode
from longtail.server.process.pseudonyms import Pseudonyms
from longtail.server.rpc.tokens.page import encode_token
from longtail.server.store.records import OperationKind
from longtail.v1 import interaction_service_pb2 as pb
from longtail.v1 import item_service_pb2

from tests.unit.server.written_catalogue import (
    WrittenCatalogue,
    fields,
    item,
    refused,
    written_catalogue,
)


@pytest.fixture
async def written(tmp_path: Path) -> AsyncIterator[WrittenCatalogue]:
    async with written_catalogue(tmp_path) as opened:
        yield opened


def event(event_id: str, user: str = "ann", at: int = 0, name: str = "film") -> pb.Interaction:
    return pb.Interaction(
        event_id=event_id, user_id=user, item_id=name, type="view", time=Timestamp(seconds=at)
    )


async def write(written: WrittenCatalogue, *events: pb.Interaction) -> pb.WriteInteractionsResponse:
    request = pb.WriteInteractionsRequest(interactions=events)
    reply: pb.WriteInteractionsResponse = await written.interactions.WriteInteractions(request)
    return reply


async def listed(
    written: WrittenCatalogue, size: int, user_id: str = "", item_id: str = ""
) -> list[str]:
    ids: list[str] = []
    token = ""
    while True:
        page = await written.interactions.ListInteractions(
            pb.ListInteractionsRequest(
                user_id=user_id, item_id=item_id, page_size=size, page_token=token
            )
        )
        assert len(page.interactions) <= size
        ids += [shown.event_id for shown in page.interactions]
        token = page.next_page_token
        if not token:
            return ids


async def test_an_event_counts_once(written: WrittenCatalogue) -> None:
    first = await write(written, event("a"), event("b", user=""), event("a"))
    assert (first.recorded_count, first.revision) == (1, written.revision())
    assert fields(first.statuses[1]) == ["interactions[1].user_id"]
    again = await write(written, event("a"))
    assert (again.recorded_count, again.revision) == (0, first.revision)


async def test_what_names_no_item_of_the_catalogue_is_recorded_and_told(
    written: WrittenCatalogue,
) -> None:
    await written.items.BatchUpsertItems(
        item_service_pb2.BatchUpsertItemsRequest(items=[item(event("a").item_id)])
    )
    strange = event("b", name="nowhere")

    reply = await write(written, event("a"), event("c", user=""), strange)
    requests = iter([pb.ImportInteractionsRequest(interactions=[event("a"), strange])])
    imported = await written.interactions.ImportInteractions(requests)

    assert reply.recorded_count == 2
    assert list(reply.unknown_item_positions) == [2]
    assert imported.unknown_item_count == 1


async def test_an_import_counts_new_known_and_refused(written: WrittenCatalogue) -> None:
    await write(written, event("a"))
    batches = [[event("a"), event("b")], [event("c", user=""), event("d")]]
    requests = iter([pb.ImportInteractionsRequest(interactions=batch) for batch in batches])
    reply = await written.interactions.ImportInteractions(requests)
    counts = reply.imported_count, reply.duplicate_count, reply.refused_count
    assert counts == (2, 1, 1)
    assert [(refusal.position, refusal.id) for refusal in reply.refusals] == [(2, "c")]


async def test_what_is_older_than_it_is_kept_is_refused_alone(tmp_path: Path) -> None:
    day, moment = 24 * 3600, int(time.time())
    async with written_catalogue(tmp_path, kept_days=2.5) as written:
        old, kept = event("old", at=moment - 3 * day), event("kept", at=moment - 2 * day)
        undated = pb.Interaction(event_id="now", user_id="ann", item_id="film", type="view")
        reply = await write(written, old, kept, undated)
        assert (reply.recorded_count, fields(reply.statuses[0])) == (2, ["interactions[0].time"])
        assert "over 2.5 days ago" in reply.statuses[0].message
        requests = iter([pb.ImportInteractionsRequest(interactions=[kept, old])])
        imported = await written.interactions.ImportInteractions(requests)
        assert (imported.duplicate_count, imported.refused_count) == (1, 1)
        assert await listed(written, 10, user_id="ann") == ["now", "kept"]


async def test_persons_go_by_pseudonyms_and_are_found_by_both(tmp_path: Path) -> None:
    pseudonyms = Pseudonyms(b"k" * 32)
    async with written_catalogue(tmp_path, pseudonyms=pseudonyms) as written:
        for name in "abc":
            assert (await write(written, event(name))).recorded_count == 1
        known_as = pseudonyms("ann")
        assert written.store.persons() == [known_as]
        # The event is the same person's, however they are named.
        assert (await write(written, event("a", known_as))).recorded_count == 0
        for name in ("ann", known_as):
            assert await listed(written, 2, user_id=name) == ["a", "b", "c"]
        page = await written.interactions.ListInteractions(
            pb.ListInteractionsRequest(item_id="film", page_size=1)
        )
        assert page.interactions[0].user_id == known_as
        deleted = await written.interactions.DeleteUserData(pb.DeleteUserDataRequest(user_id="ann"))
        assert deleted.deleted_interaction_count == 3


@pytest.mark.parametrize("size", [1, 2, 3, 100])
async def test_the_latest_come_first_and_each_once(written: WrittenCatalogue, size: int) -> None:
    await write(
        written,
        event("d", at=5),
        event("b", at=9),
        event("c", at=5, name="book"),
        event("a", at=-3),
        event("x", "bob", at=7),
    )
    assert await listed(written, size, user_id="ann") == ["b", "c", "d", "a"]
    assert await listed(written, size, item_id="film") == ["b", "x", "d", "a"]
    assert await listed(written, size, user_id="ann", item_id="film") == ["b", "d", "a"]
    assert await listed(written, size, user_id="nobody") == []


async def test_an_interaction_is_listed_as_it_was_written(written: WrittenCatalogue) -> None:
    given = event("a", at=3)
    given.value, given.query = -0.5, "a query"
    await write(written, given)
    page = await written.interactions.ListInteractions(pb.ListInteractionsRequest(user_id="ann"))
    assert list(page.interactions) == [given]


async def test_a_list_of_everything_is_refused(written: WrittenCatalogue) -> None:
    call = written.interactions.ListInteractions(pb.ListInteractionsRequest())
    assert await refused(call) == (StatusCode.INVALID_ARGUMENT, ["user_id"])


@pytest.mark.parametrize(("user_id", "item_id"), [("bob", ""), ("ann", "film"), ("", "ann")])
async def test_a_token_is_good_for_its_own_request_only(
    written: WrittenCatalogue, user_id: str, item_id: str
) -> None:
    await write(written, event("a"), event("b"))
    page = await written.interactions.ListInteractions(
        pb.ListInteractionsRequest(user_id="ann", page_size=1)
    )
    request = pb.ListInteractionsRequest(
        user_id=user_id, item_id=item_id, page_token=page.next_page_token
    )
    call = written.interactions.ListInteractions(request)
    assert await refused(call) == (StatusCode.INVALID_ARGUMENT, ["page_token"])


async def test_an_event_id_of_somebody_else_takes_no_event_away(written: WrittenCatalogue) -> None:
    squatting = await write(written, event("order 7", "mallory", at=5))
    assert squatting.recorded_count == 1
    real = await write(written, event("order 7", "ann", at=5), event("order 7", "bob", at=5))
    assert real.recorded_count == 2
    [bought] = await listed(written, 10, user_id="ann")
    assert bought == "order 7"
    # The same of the same person is the same.
    assert (await write(written, event("order 7", "ann", at=6))).recorded_count == 0
    # One moment and one event_id: pages have each of the three once.
    assert await listed(written, 1, item_id="film") == ["order 7"] * 3


async def test_a_person_is_forgotten(written: WrittenCatalogue) -> None:
    await write(written, event("a"), event("b"), event("c", "bob"))
    request = pb.DeleteUserDataRequest(user_id="ann")
    reply = await written.interactions.DeleteUserData(request)
    assert (reply.deleted_interaction_count, reply.revision) == (2, written.revision())
    assert await listed(written, 10, user_id="ann") == []
    again = await written.interactions.DeleteUserData(request)
    assert (again.deleted_interaction_count, again.revision) == (0, written.revision())
    # What waits for the same is one operation.
    [erasure] = written.store.operations.unfinished()
    assert reply.erasure_operation_id == again.erasure_operation_id == erasure.id
    assert erasure.kind == OperationKind.ERASE_USER_DATA
    assert b"ann" not in repr(erasure).encode()


async def test_who_deletes_a_person_is_in_the_audit_and_the_person_by_hash(
    written: WrittenCatalogue,
) -> None:
    await write(written, event("a", "someone to forget"))
    request = pb.DeleteUserDataRequest(user_id="someone to forget")
    reply = await written.interactions.DeleteUserData(request)
    told = (written.store.path.parent / "audit" / "audit.jsonl").read_text()
    assert "someone" not in told
    line = json.loads(told)
    assert line["action"] == "person deleted"
    assert line["person"] == written.store.person_hash("someone to forget").hex()
    assert (line["interactions"], line["operation"]) == (1, reply.erasure_operation_id)
    assert line["caller"] == "ipv4:127.0.0.1"


@pytest.mark.parametrize(
    "position", [b"", b"short", bytes(8) + b"\xff", bytes(3000)], ids=["none", "half", "id", "long"]
)
async def test_a_forged_token_is_the_callers_mistake(
    written: WrittenCatalogue, position: bytes
) -> None:
    token = encode_token(("ListInteractions", "ann", ""), position)
    request = pb.ListInteractionsRequest(user_id="ann", page_token=token)
    call = written.interactions.ListInteractions(request)
    assert await refused(call) == (StatusCode.INVALID_ARGUMENT, ["page_token"])
