"""The real server with the real encoder: writes, lists, explanations, and what it refuses."""

import struct
from collections.abc import Iterator

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2
from longtail.client import LongtailClient, LongtailError
from longtail.client.calls.errors import error_from_rpc
from longtail.v1 import item_pb2
from longtail.v1 import recommendation_service_pb2 as pb
from longtail.v1.recommendation_service_pb2_grpc import RecommendationServiceStub

from tests import processes
from tests.films import films, liked

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def client(
    worker_address: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LongtailClient]:
    """Return a client of a server with a dozen films, two of them known to many."""
    home = tmp_path_factory.mktemp("server")
    with (
        processes.server(home, worker_address) as running,
        LongtailClient(running.address) as connected,
    ):
        connected.upsert_items(films())
        crowd = [liked(f"user-{n}", item) for n in range(40) for item in ("alien", "heat")]
        connected.write_interactions(crowd)
        yield connected


def violations(error: pytest.ExceptionInfo[LongtailError]) -> list[str]:
    return [violation.field for violation in error.value.violations]


def test_a_query_finds_what_it_describes(client: LongtailClient) -> None:
    reply = client.recommend(query="a robot alone in space", page_size=3)
    assert reply.results[0].item_id == "wall-e"
    assert [result.rank for result in reply.results] == [1, 2, 3]
    assert not reply.degraded
    assert reply.provenance.revision > 0


def test_scores_and_similarities_add_up(client: LongtailClient) -> None:
    reply = client.recommend(query="a robot in space", user_id="user-1", strength=0.4)
    for result in reply.results:
        parts = result.breakdown
        gained = parts.relevance_gain + parts.tail_bonus
        assert result.score == gained + parts.coverage_bonus + parts.taste_share
        total = parts.from_query + parts.from_examples + parts.from_history
        assert parts.similarity == total
    strict = client.recommend(query="a robot in space", user_id="user-1", strength=0.0)
    parts_of = [result.breakdown for result in reply.results]
    said, price = reply.list_metrics, reply.policy.tail_price
    kept = sum(parts.relevance_gain for parts in parts_of)
    assert kept / sum(result.score for result in strict.results) == pytest.approx(
        1 - said.relevance_loss
    )
    assert sum(parts.tail_bonus for parts in parts_of) == pytest.approx(price * said.tail_fraction)
    assert all(parts.coverage_bonus >= 0 for parts in parts_of)
    [share] = {parts.taste_share for parts in parts_of}
    assert share <= 0


def test_strength_zero_is_the_order_of_relevance(client: LongtailClient) -> None:
    reply = client.recommend(query="police and bank robbers", page_size=4, strength=0.0)
    assert [result.breakdown.baseline_rank for result in reply.results] == [1, 2, 3, 4]
    assert reply.list_metrics.relevance_loss == 0
    assert reply.results[0].item_id == "heat"


def test_strength_one_prefers_the_tail(client: LongtailClient) -> None:
    reply = client.recommend(query="a crew in a spaceship is hunted", page_size=3, strength=1.0)
    assert {result.bucket for result in reply.results} == {pb.BUCKET_TAIL}
    assert reply.list_metrics.tail_fraction == 1


def test_the_relevance_budget_is_never_exceeded(client: LongtailClient) -> None:
    for budget in (0.0, 0.01, 0.05, 0.2):
        reply = client.recommend(
            query="a crew in a spaceship is hunted",
            page_size=3,
            strength=1.0,
            relevance_budget=budget,
            min_tail_fraction=1.0,
        )
        assert reply.list_metrics.relevance_loss <= budget
        reached = reply.list_metrics.tail_fraction == 1
        assert reply.policy.min_tail_fraction_met == reached


def test_what_a_person_has_seen_is_left_out(client: LongtailClient) -> None:
    seen = {"alien", "heat"}
    reply = client.recommend(user_id="user-3", page_size=100)
    assert seen.isdisjoint(result.item_id for result in reply.results)
    assert reply.short_page_reason == pb.SHORT_PAGE_REASON_CATALOGUE_EXHAUSTED
    explained = client.explain_item("alien", user_id="user-3")
    assert explained.verdict == pb.VERDICT_SEEN


def test_a_stranger_without_a_query_gets_what_is_popular(client: LongtailClient) -> None:
    reply = client.recommend(user_id="nobody knows me", page_size=4)
    assert len(reply.results) == 4
    assert all(pb.REASON_POPULAR in result.reasons for result in reply.results)
    assert client.recommend(user_id="nobody knows me", page_size=4).results == reply.results


def test_a_negative_example_pushes_away(client: LongtailClient) -> None:
    def place(examples: list[pb.Example]) -> int:
        reply = client.recommend(query="space", examples=examples, page_size=12, strength=0.0)
        return [result.item_id for result in reply.results].index("solaris")

    away = pb.Example(text="a psychologist on a space station above an ocean", weight=-0.8)
    assert place([away]) > place([])


def test_unknown_examples_are_reported(client: LongtailClient) -> None:
    examples = [pb.Example(item_id="jaws"), pb.Example(item_id="no such film")]
    reply = client.recommend(examples=examples)
    assert list(reply.missing_ids) == ["no such film"]
    assert "jaws" not in [result.item_id for result in reply.results]


def test_every_item_can_be_explained(client: LongtailClient) -> None:
    listed = client.explain_item("wall-e", query="a robot alone in space", page_size=3)
    assert listed.verdict == pb.VERDICT_LISTED
    assert listed.recommendation.rank == 1
    outranked = client.explain_item("big", query="a robot alone in space", page_size=3)
    assert outranked.verdict == pb.VERDICT_OUTRANKED
    assert outranked.recommendation.breakdown.baseline_rank > 3
    with pytest.raises(LongtailError) as unknown:
        client.explain_item("no such film", query="space")
    assert unknown.value.code.name == "NOT_FOUND"


NAN = struct.pack("<384f", *[float("nan")] * 384)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.RecommendRequest(query=" "), "query"),
        (pb.RecommendRequest(query="x" * 4001), "query"),
        (pb.RecommendRequest(page_size=-1), "page_size"),
        (pb.RecommendRequest(user_id="x" * 257), "user_id"),
        (pb.RecommendRequest(long_tail=pb.LongTail(strength=1.5)), "long_tail.strength"),
        (
            pb.RecommendRequest(long_tail=pb.LongTail(relevance_budget=float("nan"))),
            "long_tail.relevance_budget",
        ),
        (pb.RecommendRequest(examples=[pb.Example(vector=b"123")]), "examples[0].vector"),
        (pb.RecommendRequest(examples=[pb.Example(vector=NAN)]), "examples[0].vector"),
        (pb.RecommendRequest(examples=[pb.Example(text="")]), "examples[0].text"),
        (pb.RecommendRequest(examples=[pb.Example()]), "examples[0]"),
        (
            pb.RecommendRequest(
                query="a robot", examples=[pb.Example(text="a robot", weight=-1.0)]
            ),
            "examples",
        ),
        (pb.RecommendRequest(explain=9), "explain"),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_request_names_the_field(
    client: LongtailClient, request_: pb.RecommendRequest, field: str
) -> None:
    with (
        grpc.insecure_channel(client.address) as channel,
        pytest.raises(grpc.RpcError) as caught,
    ):
        RecommendationServiceStub(channel).Recommend(request_, timeout=10)
    error = error_from_rpc(caught.value)
    assert error.code.name == "INVALID_ARGUMENT"
    assert [violation.field for violation in error.violations] == [field]


def test_a_wrong_item_changes_nothing_and_holds_back_no_other(client: LongtailClient) -> None:
    before = client.catalog_stats().item_count
    wrong = item_pb2.Item(id="wrong", title="x", vector=NAN)
    good = films()[0]
    reply = client.upsert_items([good, wrong])
    assert [status.code for status in reply.statuses] == [0, 3]
    assert client.catalog_stats().item_count == before
    with pytest.raises(LongtailError) as twice:
        client.upsert_items([good, good])
    assert violations(twice) == ["items[1].id"]


def test_a_later_revision_is_a_failed_precondition(client: LongtailClient) -> None:
    with pytest.raises(LongtailError) as caught:
        client.recommend(query="space", min_revision=10**9)
    assert caught.value.code.name == "FAILED_PRECONDITION"


def test_forgetting_a_person_forgets_their_popularity(client: LongtailClient) -> None:
    client.write_interactions([liked("brief", "big"), liked("brief", "up")])
    before = client.catalog_stats().interaction_count
    assert client.delete_user_data("brief").deleted_interaction_count == 2
    assert client.catalog_stats().interaction_count == before - 2
    assert client.delete_user_data("brief").deleted_interaction_count == 0


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_generic_tools_can_read_the_contract(client: LongtailClient, version: str) -> None:
    with grpc.insecure_channel(client.address) as channel:
        ask = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        name = "longtail.v1.RecommendationService"
        asked = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol=name),
        ]
        services, files = list(ask(iter(asked), timeout=10))
    assert name in [service.name for service in services.list_services_response.service]
    assert files.file_descriptor_response.file_descriptor_proto
