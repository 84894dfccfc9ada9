"""Impressions, and interactions with recommended lists, over gRPC."""

import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode
from longtail.server.rpc.tokens.recommendation import RecommendedList, TokenCodec
from longtail.server.store.records import ShownItem
from longtail.v1 import interaction_service_pb2 as pb

from tests.unit.server.written_catalogue import (
    WrittenCatalogue,
    fields,
    refused,
    written_catalogue,
)

EVER = 2**62


@pytest.fixture
async def written(tmp_path: Path) -> AsyncIterator[WrittenCatalogue]:
    async with written_catalogue(tmp_path) as opened:
        yield opened


def token_of(tokens: TokenCodec, *item_ids: str, user_id: str = "ann") -> str:
    return tokens.encode(
        RecommendedList.new(
            user_id=user_id,
            time=0,
            revision=1,
            strength=0.3,
            relevance_loss=0.0625,
            tail_fraction=0.5,
            item_ids=item_ids,
            propensities=[1.0] * (len(item_ids) - 1) + [0.25],
        )
    )


def request(
    token: str, *shown: tuple[str, int], at: int | None = None
) -> pb.RecordImpressionsRequest:
    return pb.RecordImpressionsRequest(
        recommendation_token=token,
        impressions=[pb.Impression(item_id=name, position=position) for name, position in shown],
        time=None if at is None else Timestamp(seconds=at),
    )


async def record(
    written: WrittenCatalogue, token: str, *shown: tuple[str, int], at: int | None = None
) -> pb.RecordImpressionsResponse:
    reply: pb.RecordImpressionsResponse = await written.interactions.RecordImpressions(
        request(token, *shown, at=at)
    )
    return reply


def event(event_id: str, token: str) -> pb.Interaction:
    return pb.Interaction(
        event_id=event_id,
        user_id="ann",
        item_id="a",
        type="view",
        value=1,
        time=Timestamp(seconds=3),
        recommendation_token=token,
    )


def named(unattributed: Iterable[pb.UnattributedInteraction]) -> list[tuple[int, str]]:
    return [(each.position, each.event_id) for each in unattributed]


async def listed(written: WrittenCatalogue) -> list[pb.Interaction]:
    page = await written.interactions.ListInteractions(pb.ListInteractionsRequest(user_id="ann"))
    return list(page.interactions)


def shown(written: WrittenCatalogue) -> list[ShownItem]:
    items = written.store.impressions.shown(-EVER, EVER).items
    return sorted(items, key=lambda item: item.item_id)


async def test_a_retry_records_nothing_more(written: WrittenCatalogue) -> None:
    token = token_of(written.tokens, "a", "b")
    first = await record(written, token, ("a", 0), ("b", 0), ("a", 0))
    assert (first.recorded_count, first.revision) == (2, written.revision())
    # The place that an item has in the list is the default.
    again = await record(written, token, ("b", 2), ("a", 1))
    assert (again.recorded_count, again.revision) == (0, first.revision)
    moved = await record(written, token, ("b", 1), ("a", 1000))
    assert (moved.recorded_count, moved.revision) == (2, first.revision + 1)
    assert shown(written) == [ShownItem("a", 2, 0.5), ShownItem("b", 2, 0.5)]
    # The same items of another list are another matter.
    other = await record(written, token_of(written.tokens, "a"), ("a", 0))
    assert other.recorded_count == 1


async def test_an_impression_has_what_the_list_says(written: WrittenCatalogue) -> None:
    await record(written, token_of(written.tokens, "a", "b"), ("b", 0), at=5)
    assert written.store.impressions.recent("ann", 0, 9) == [("b", 5_000_000)]
    assert written.store.impressions.shown(-EVER, EVER).relevance_loss == 0.0625


async def test_a_time_to_come_is_now(written: WrittenCatalogue) -> None:
    await record(written, token_of(written.tokens, "a"), ("a", 0), at=4_000_000_000)
    await record(written, token_of(written.tokens, "b"), ("b", 0))
    recent = written.store.impressions.recent("ann", 0, 9)
    now = time.time_ns() // 1000
    assert all(now - 60_000_000 < at <= now for _, at in recent)
    assert len(recent) == 2


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ([("x", 0)], ["impressions[1].item_id"]),
        ([("", 0)], ["impressions[1].item_id"]),
        ([("a", 1001)], ["impressions[1].position"]),
        ([("x", 0), ("b", 5), ("y", 0)], ["impressions[1].item_id", "impressions[3].item_id"]),
        ([("a", 0)] * 100, ["impressions"]),
    ],
)
async def test_one_wrong_impression_refuses_the_call(
    written: WrittenCatalogue, wrong: list[tuple[str, int]], named: list[str]
) -> None:
    before = written.revision()
    token = token_of(written.tokens, "a", "b")
    call = written.interactions.RecordImpressions(request(token, ("a", 0), *wrong))
    assert await refused(call) == (StatusCode.INVALID_ARGUMENT, named)
    assert (shown(written), written.revision()) == ([], before)


@pytest.mark.parametrize(
    "token",
    ["", "abc", token_of(TokenCodec(b"another store"), "a")],
    ids=["none", "short", "other"],
)
async def test_impressions_of_no_list_are_refused(written: WrittenCatalogue, token: str) -> None:
    # The token is all that is known of what was shown.
    call = written.interactions.RecordImpressions(request(token, ("a", 0)))
    assert await refused(call) == (StatusCode.INVALID_ARGUMENT, ["recommendation_token"])


async def test_what_else_is_wrong_is_named(written: WrittenCatalogue) -> None:
    token = token_of(written.tokens, "a")
    call = written.interactions.RecordImpressions(request(token))
    assert await refused(call) == (StatusCode.INVALID_ARGUMENT, ["impressions"])
    call = written.interactions.RecordImpressions(request(token, ("a", 0), at=2**60))
    assert await refused(call) == (StatusCode.INVALID_ARGUMENT, ["time"])


async def test_an_interaction_keeps_the_token_of_its_list(written: WrittenCatalogue) -> None:
    token = token_of(written.tokens, "a", "b")
    good, imported = event("1", token), event("2", token)
    reply = await written.interactions.WriteInteractions(
        pb.WriteInteractionsRequest(interactions=[good])
    )
    summary = await written.interactions.ImportInteractions(
        iter([pb.ImportInteractionsRequest(interactions=[imported])])
    )
    assert (list(reply.unattributed), summary.unattributed_count) == ([], 0)
    assert await listed(written) == [good, imported]


@pytest.mark.parametrize(
    "unknown",
    [
        "garbled",
        "=é\n",
        "A" * 10_000,
        token_of(TokenCodec(b"another store"), "a", "b"),
    ],
    ids=["garbled", "no base64", "long", "of another store"],
)
async def test_an_unknown_token_loses_the_attribution_and_no_event(
    written: WrittenCatalogue, unknown: str
) -> None:
    token = token_of(written.tokens, "a", "b")
    wrong = event("2", unknown)
    wrong.user_id = ""
    reply = await written.interactions.WriteInteractions(
        pb.WriteInteractionsRequest(interactions=[event("1", token), wrong, event("3", unknown)])
    )
    assert [status.code for status in reply.statuses] == [0, 3, 0]
    assert fields(reply.statuses[1]) == ["interactions[1].user_id"]
    assert reply.recorded_count == 2
    assert named(reply.unattributed) == [(2, "3")]
    assert await listed(written) == [event("1", token), event("3", "")]
    assert written.store.impressions.responses("a")[0].interactions == 1


async def test_an_import_names_the_first_hundred_and_counts_all(written: WrittenCatalogue) -> None:
    token = token_of(written.tokens, "a")
    batches = [
        pb.ImportInteractionsRequest(
            interactions=[event(f"known {part}", token)]
            + [event(f"{part} {n}", "unknown") for n in range(60)]
        )
        for part in range(3)
    ]
    summary = await written.interactions.ImportInteractions(iter(batches))
    assert (summary.imported_count, summary.refused_count) == (183, 0)
    assert summary.unattributed_count == 180
    first = [(61 * part + n + 1, f"{part} {n}") for part in range(3) for n in range(60)]
    assert named(summary.unattributed) == first[:100]


async def test_what_was_recorded_keeps_its_token(written: WrittenCatalogue) -> None:
    token = token_of(written.tokens, "a")
    for given in (token, "unknown"):
        await written.interactions.WriteInteractions(
            pb.WriteInteractionsRequest(interactions=[event("1", given)])
        )
    assert await listed(written) == [event("1", token)]


async def test_a_person_is_forgotten_with_what_they_were_shown(written: WrittenCatalogue) -> None:
    await record(written, token_of(written.tokens, "a", "b"), ("a", 0), ("b", 0))
    await record(written, token_of(written.tokens, "a", user_id="bob"), ("a", 0))
    reply = await written.interactions.DeleteUserData(pb.DeleteUserDataRequest(user_id="ann"))
    assert (reply.deleted_interaction_count, reply.deleted_impression_count) == (0, 2)
    assert reply.revision == written.revision()
    assert shown(written) == [ShownItem("a", 1, 1.0)]
