"""The queue of reviews, decisions and their history over gRPC."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode
from longtail.runtime.identity import Role as CallerRole
from longtail.runtime.keys import Key, KeyRing, hashed, write_keys
from longtail.server.rpc.roles import ROLES
from longtail.server.rpc.write import item as item_pages
from longtail.v1 import decision_pb2, item_pb2
from longtail.v1 import review_service_pb2 as pb

from tests.unit.server.written_catalogue import (
    WrittenCatalogue,
    batch,
    item,
    refused,
    written_catalogue,
)

APPROVE, HIDE = decision_pb2.DECISION_KIND_APPROVE, decision_pb2.DECISION_KIND_HIDE
PENALISE = decision_pb2.DECISION_KIND_PENALISE
SUBMIT, BLOCK = decision_pb2.DECISION_KIND_SUBMIT, decision_pb2.DECISION_KIND_BLOCK
IN_REVIEW = item_pb2.STATE_IN_REVIEW


@pytest.fixture
async def written(tmp_path: Path) -> AsyncIterator[WrittenCatalogue]:
    async with written_catalogue(tmp_path) as opened:
        yield opened


def request(*ids: str, kind: decision_pb2.DecisionKind = HIDE, **values: Any) -> Any:  # noqa: ANN401
    given: dict[str, Any] = {"item_ids": ids, "kind": kind, "author": "ann", "reason": "spam"}
    return pb.DecideItemsRequest(**(given | values))


async def queue(written: WrittenCatalogue, **values: Any) -> pb.ListReviewQueueResponse:  # noqa: ANN401
    reply: pb.ListReviewQueueResponse = await written.reviews.ListReviewQueue(
        pb.ListReviewQueueRequest(**values)
    )
    return reply


async def decisions(written: WrittenCatalogue, **values: Any) -> pb.ListDecisionsResponse:  # noqa: ANN401
    reply: pb.ListDecisionsResponse = await written.reviews.ListDecisions(
        pb.ListDecisionsRequest(**values)
    )
    return reply


async def test_a_queued_item_comes_with_what_submitted_it(written: WrittenCatalogue) -> None:
    await written.items.BatchUpsertItems(batch(item("a", state=IN_REVIEW), item("b")))
    await written.reviews.DecideItems(request("b", kind=SUBMIT, reason="reported twice"))
    first, second = (await queue(written)).items
    assert (first.item.id, first.item.title) == ("a", "title of a")
    assert not first.HasField("decision")
    assert (second.item.id, second.item.state) == ("b", item_pb2.STATE_ACTIVE)
    assert (second.decision.author, second.decision.reason) == ("ann", "reported twice")
    assert second.decision.in_force


@pytest.mark.parametrize(
    ("said", "kept"),
    [("", "desk"), ("desk", "desk"), ("ann", "desk for ann"), ("other", "desk for other")],
)
async def test_with_keys_the_author_is_the_name_of_the_key(
    tmp_path: Path, said: str, kept: str
) -> None:
    roles = {"desk": CallerRole.REVIEW, "other": CallerRole.REVIEW, "shop": CallerRole.WRITE}
    write_keys(tmp_path / "keys.json", [Key(n, role, hashed(n), "") for n, role in roles.items()])

    def bearer(name: str) -> Any:  # noqa: ANN401
        return {"metadata": (("authorization", f"Bearer {name}"),)}

    ring = KeyRing(tmp_path / "keys.json", ROLES)
    async with written_catalogue(tmp_path, keys=ring) as written:
        await written.items.BatchUpsertItems(batch(item("a")), **bearer("shop"))
        decide = request("a", author=said)
        code, _ = await refused(written.reviews.DecideItems(decide, **bearer("shop")))
        assert code is StatusCode.PERMISSION_DENIED
        await written.reviews.DecideItems(decide, **bearer("desk"))
        listed = written.reviews.ListDecisions(pb.ListDecisionsRequest(), **bearer("other"))
        assert [each.author for each in (await listed).decisions] == [kept]


async def test_without_a_key_somebody_has_to_be_named(written: WrittenCatalogue) -> None:
    await written.items.BatchUpsertItems(batch(item("a")))
    code, fields = await refused(written.reviews.DecideItems(request("a", author="")))
    assert (code, fields) == (StatusCode.INVALID_ARGUMENT, ["author"])


async def test_a_decision_is_kept_with_its_author_and_reason(written: WrittenCatalogue) -> None:
    await written.items.BatchUpsertItems(batch(item("a")))
    until = datetime.now(UTC) + timedelta(days=1)
    reply = await written.reviews.DecideItems(
        request("a", "nobody", kind=PENALISE, penalty=0.25, expire_time=until)
    )
    assert [status.code for status in reply.statuses] == [0, StatusCode.NOT_FOUND.value[0]]
    assert reply.revision == written.revision()
    [found] = (await decisions(written, item_id="a")).decisions
    assert (found.item_id, found.kind, found.penalty) == ("a", PENALISE, 0.25)
    assert (found.author, found.reason, found.in_force) == ("ann", "spam", True)
    assert found.revision == reply.revision
    assert found.expire_time.ToDatetime(UTC) == until
    assert abs(found.create_time.ToDatetime(UTC) - datetime.now(UTC)) < timedelta(minutes=5)


async def test_who_decides_is_in_the_audit_with_the_author_and_the_reason(
    written: WrittenCatalogue,
) -> None:
    await written.reviews.DecideItems(request("a", "b", kind=BLOCK, request_id="r"))
    line = json.loads((written.store.path.parent / "audit" / "audit.jsonl").read_text())
    assert (line["action"], line["caller"]) == ("items decided", "ipv4:127.0.0.1")
    assert (line["kind"], line["count"], line["request_id"]) == ("block", 2, "r")
    assert (line["author"], line["reason"]) == ("ann", "spam")


async def test_the_block_list_is_what_is_in_force_of_its_kind(written: WrittenCatalogue) -> None:
    await written.reviews.DecideItems(request("a", "b", "c", kind=BLOCK))
    await written.reviews.DecideItems(request("b", kind=APPROVE))
    listed = await decisions(written, kind=BLOCK, in_force=True)
    assert [each.item_id for each in listed.decisions] == ["c", "a"]
    everything = await decisions(written)
    assert [each.item_id for each in everything.decisions] == ["b", "c", "b", "a"]
    assert [each.in_force for each in everything.decisions] == [True, True, False, True]


async def test_lists_come_in_pages(written: WrittenCatalogue) -> None:
    ids = [f"{n}" for n in range(5)]
    await written.items.BatchUpsertItems(batch(*(item(each, state=IN_REVIEW) for each in ids)))
    await written.reviews.DecideItems(request(*ids, "late", kind=BLOCK))
    await written.reviews.DecideItems(request(*ids, kind=SUBMIT))
    queued, token = list[str](), ""
    while not queued or token:
        page = await queue(written, page_size=2, page_token=token)
        queued += [each.item.id for each in page.items]
        token = page.next_page_token
    assert queued == ids
    revisions, asked = list[int](), {"kind": BLOCK, "page_size": 4}
    while not revisions or token:
        found = await decisions(written, page_token=token, **asked)
        revisions += [each.revision for each in found.decisions]
        token = found.next_page_token
    assert len(revisions) == 6
    assert revisions == sorted(revisions, reverse=True)


async def test_a_page_of_long_texts_ends_earlier(
    written: WrittenCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    await written.items.BatchUpsertItems(
        batch(*(item(each, text="x" * 500, state=IN_REVIEW) for each in "abc"))
    )
    await written.reviews.DecideItems(request(*"def", kind=BLOCK, reason="y" * 1000))
    monkeypatch.setattr("longtail.server.rpc.reviews.PAGE_BYTES", 1300)
    assert item_pages.PAGE_BYTES > 10**6
    page = await queue(written)
    assert [each.item.id for each in page.items] == ["a", "b"]
    rest = await queue(written, page_token=page.next_page_token)
    assert ([each.item.id for each in rest.items], rest.next_page_token) == (["c"], "")
    found = await decisions(written)
    assert [each.item_id for each in found.decisions] == ["f"]
    rest_of_them = await decisions(written, page_token=found.next_page_token)
    assert [each.item_id for each in rest_of_them.decisions] == ["e"]


async def test_a_repeated_decision_is_made_once(written: WrittenCatalogue) -> None:
    await written.items.BatchUpsertItems(batch(item("a")))
    asked = request("a", request_id="r")
    first = await written.reviews.DecideItems(asked)
    await written.reviews.DecideItems(request("a", kind=APPROVE))
    assert await written.reviews.DecideItems(asked) == first
    assert len((await decisions(written)).decisions) == 2
    other = request("a", request_id="r", reason="another")
    assert await refused(written.reviews.DecideItems(other)) == (
        StatusCode.INVALID_ARGUMENT,
        ["request_id"],
    )


async def test_a_repetition_after_its_term_gets_the_first_answer(
    written: WrittenCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    await written.items.BatchUpsertItems(batch(item("a")))
    until = datetime.now(UTC) + timedelta(days=1)
    asked = request("a", request_id="r", expire_time=until)
    first = await written.reviews.DecideItems(asked)
    late = int((until + timedelta(seconds=1)).timestamp() * 1e6)
    monkeypatch.setattr("longtail.server.write.writer.now", lambda: late)
    assert await written.reviews.DecideItems(asked) == first
    again = request("a", request_id="s", expire_time=until)
    assert await refused(written.reviews.DecideItems(again)) == (
        StatusCode.INVALID_ARGUMENT,
        ["expire_time"],
    )


PAST = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"item_ids": []}, "item_ids"),
        ({"item_ids": [str(n) for n in range(1001)]}, "item_ids"),
        ({"item_ids": ["a", ""]}, "item_ids[1]"),
        ({"item_ids": ["a", "b", "a"]}, "item_ids[2]"),
        ({"kind": 0}, "kind"),
        ({"kind": 9}, "kind"),
        ({"penalty": 0.5}, "penalty"),
        ({"penalty": 0.0}, "penalty"),
        ({"kind": PENALISE}, "penalty"),
        ({"kind": PENALISE, "penalty": 0.0}, "penalty"),
        ({"kind": PENALISE, "penalty": 1.5}, "penalty"),
        ({"kind": PENALISE, "penalty": float("nan")}, "penalty"),
        ({"author": ""}, "author"),
        ({"author": "a" * 257}, "author"),
        ({"reason": ""}, "reason"),
        ({"reason": " "}, "reason"),
        ({"reason": "x" * 1001}, "reason"),
        ({"expire_time": PAST}, "expire_time"),
        ({"request_id": "x" * 257}, "request_id"),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_is_decided(
    written: WrittenCatalogue, values: dict[str, Any], field: str
) -> None:
    call = written.reviews.DecideItems(request("a", **{"kind": BLOCK, **values}))
    assert await refused(call) == (StatusCode.INVALID_ARGUMENT, [field])
    assert not (await decisions(written)).decisions


async def test_wrong_pages_are_refused(written: WrittenCatalogue) -> None:
    await written.reviews.DecideItems(request("a", "b", kind=BLOCK))
    token = (await decisions(written, page_size=1)).next_page_token
    for call, field in (
        (decisions(written, page_token=token, kind=HIDE), "page_token"),
        (decisions(written, page_token="x" * 3000), "page_token"),
        (decisions(written, page_size=-1), "page_size"),
        (decisions(written, kind=9), "kind"),
        (decisions(written, item_id="x" * 257), "item_id"),
        (queue(written, page_token=token), "page_token"),
        (queue(written, page_size=-1), "page_size"),
    ):
        assert await refused(call) == (StatusCode.INVALID_ARGUMENT, [field])
