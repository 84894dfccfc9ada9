"""Explanations, comparisons and batches through the real server with the real encoder."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from longtail.client import (
    LongtailClient,
    LongtailError,
    error_from_status,
    example,
    filter_of,
    policy,
    recommend_request,
    where,
)
from longtail.v1 import item_pb2
from longtail.v1 import recommendation_service_pb2 as pb

from tests import processes
from tests.served_films import GENRES, SPACE, ids, result_of, served_films

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def client(
    worker_address: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LongtailClient]:
    """Return a client of a server with a dozen films."""
    with served_films(tmp_path_factory.mktemp("server"), worker_address) as connected:
        yield connected


def test_results_name_what_they_are_most_like(client: LongtailClient) -> None:
    reply = client.recommend(user_id="ann", examples=[example(text="a detective")], page_size=10)
    moon = result_of(reply, "moon")
    assert moon.nearest_example.item_id in ("alien", "wall-e")
    assert moon.nearest_example.title in ("Alien", "Wall-E")
    assert not moon.nearest_example.HasField("example")
    assert list(moon.matching_attributes) == ["genres=space", "year=1999"]
    heat = result_of(reply, "heat")
    assert heat.nearest_example.example == 0
    assert heat.nearest_example.HasField("example")
    assert 0 < heat.nearest_example.similarity <= 1
    bare = client.recommend(user_id="ann", page_size=10, explain="none").results[0]
    assert not bare.reasons
    assert not bare.HasField("nearest_example")
    assert not bare.HasField("breakdown")


def explained(client: LongtailClient, item_id: str) -> pb.ExplainItemResponse:
    return client.explain_item(
        item_id,
        SPACE,
        user_id="ann",
        page_size=3,
        strength=0.0,
        examples=[example(item_id="robots", weight=0.1)],
        exclude=["big"],
        filter=filter_of(none_of=[where("genres").equals("romance")]),
    )


@pytest.mark.parametrize(
    ("item_id", "verdict"),
    [
        ("wall-e", pb.VERDICT_SEEN),
        ("big", pb.VERDICT_EXCLUDED),
        ("robots", pb.VERDICT_EXAMPLE),
        ("amelie", pb.VERDICT_FILTERED),
        ("secret", pb.VERDICT_HIDDEN),
        ("draft", pb.VERDICT_IN_REVIEW),
        ("coming", pb.VERDICT_UNAVAILABLE),
    ],
)
def test_what_is_not_offered_is_told_why(
    client: LongtailClient, item_id: str, verdict: pb.Verdict
) -> None:
    found = explained(client, item_id)
    assert found.verdict == verdict
    assert found.recommendation.item_id == item_id
    assert found.recommendation.title
    assert 0 < found.recommendation.breakdown.relevance < 1
    assert found.recommendation.breakdown.baseline_rank >= 1
    assert "it would stand at" in found.summary


def test_candidates_are_told_their_place(client: LongtailClient) -> None:
    found = {item_id: explained(client, item_id) for item_id in GENRES}
    verdicts = {item_id: reply.verdict for item_id, reply in found.items()}
    candidates = {"moon", "solaris", "heat", "ronin", "ratatouille", "jaws", "up"}
    listed = {name for name in candidates if verdicts[name] == pb.VERDICT_LISTED}
    assert len(listed) == 3
    outranked = {name for name in candidates if verdicts[name] == pb.VERDICT_OUTRANKED}
    assert outranked == candidates - listed
    for name in candidates:
        rank = found[name].recommendation.breakdown.baseline_rank
        better = [
            other
            for other in candidates
            if found[other].recommendation.breakdown.relevance
            > found[name].recommendation.breakdown.relevance
        ]
        assert rank == 1 + len(better)
    for name in outranked:
        assert found[name].relevance_gap > 0
    for name in listed:
        assert found[name].relevance_gap == 0
        assert found[name].recommendation.rank > 0


def test_what_is_too_far_is_told_how_far(
    worker_address: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def vector(angle: float) -> Sequence[float]:
        return [math.cos(angle), math.sin(angle), *[0.0] * 382]

    home = tmp_path_factory.mktemp("far")
    with (
        processes.server(home, worker_address, LONGTAIL_CANDIDATES="100") as running,
        LongtailClient(running.address) as client,
    ):
        client.upsert_items(
            item_pb2.Item(
                id=f"{n:03}", title=str(n), vector=np.array(vector(n / 200), "<f4").tobytes()
            )
            for n in range(150)
        )
        ahead = [example(vector=vector(0.0))]
        # Neighbours are nearly the same.
        found = client.explain_item(
            "120", examples=ahead, page_size=10, strength=0.0, allow_copies=True
        )
        assert found.verdict == pb.VERDICT_NOT_RETRIEVED
        said = found.recommendation.breakdown
        assert said.similarity == pytest.approx(math.cos(0.6), abs=1e-5)
        last = client.explain_item(
            "009", examples=ahead, page_size=10, strength=0.0, allow_copies=True
        )
        assert last.verdict == pb.VERDICT_LISTED
        assert last.recommendation.rank == 10
        gap = last.recommendation.breakdown.relevance - said.relevance
        assert found.relevance_gap == pytest.approx(gap, rel=1e-9)
        assert said.baseline_rank == 101
        assert "at 101 of 100 candidates" in found.summary
        assert found.recommendation.nearest_example.similarity == pytest.approx(said.similarity)


def test_policies_are_compared_on_one_set_of_candidates(client: LongtailClient) -> None:
    reply = client.compare_recommendations(
        SPACE,
        policies={"relevance": policy(strength=0.0), "tail": policy(strength=1.0)},
        page_size=4,
    )
    relevance, tail = reply.lists
    for compared, strength in ((relevance, 0.0), (tail, 1.0)):
        alone = client.recommend(SPACE, page_size=4, strength=strength)
        assert ids(compared.response) == ids(alone)
        assert compared.response.policy.strength == strength
        assert compared.response.recommendation_token == ""
    assert relevance.common_count == 4
    assert tail.response.list_metrics.tail_fraction > relevance.response.list_metrics.tail_fraction
    first = ids(relevance.response)
    assert tail.common_count == len(set(first) & set(ids(tail.response)))
    for move in tail.moves:
        assert move.first_rank == (first.index(move.item_id) + 1 if move.item_id in first else 0)


def test_one_wrong_request_of_a_batch_holds_back_no_other(client: LongtailClient) -> None:
    requests = [
        recommend_request(SPACE, page_size=3),
        recommend_request(SPACE, page_size=3, strength=2.0),
        recommend_request(SPACE, page_size=3, examples=[example(text=SPACE, weight=-1.0)]),
        recommend_request(user_id="user-1", page_size=3),
    ]
    reply = client.batch_recommend(requests)
    assert [result.status.code for result in reply.results] == [0, 3, 3, 0]
    wrong = [error_from_status(result.status) for result in reply.results[1:3]]
    named = [[violation.field for violation in error.violations] for error in wrong if error]
    assert named == [["requests[1].long_tail.strength"], ["requests[2].examples"]]
    alone = client.recommend(SPACE, page_size=3)
    assert ids(reply.results[0].response) == ids(alone)
    assert reply.results[0].response.recommendation_token
    with pytest.raises(LongtailError) as caught:
        client.batch_recommend([])
    assert [violation.field for violation in caught.value.violations] == ["requests"]


def test_the_words_of_a_query_find_and_are_named(client: LongtailClient) -> None:
    query = "bank robbers of Los Angeles"
    reply = client.recommend(query, page_size=3, strength=0.0)
    heat = reply.results[0]
    assert heat.item_id == "heat"
    assert set(heat.matched_words) == {"bank", "robbers", "los", "angeles"}
    assert heat.breakdown.words == max(each.breakdown.words for each in reply.results) > 0
    assert pb.REASON_WORDS in heat.reasons
    assert "words" in {term.feature for term in heat.breakdown.terms}
    why = client.explain_item("heat", query, strength=0.0)
    assert "It holds of the query's words: " in why.summary
    again = client.recommend(query, page_size=2, page_token=reply.next_page_token, strength=0.0)
    assert again.results[0].rank == 4
    plain = client.recommend(query, page_size=3, strength=0.0, ignore_words=True)
    assert not any(each.matched_words or each.breakdown.words for each in plain.results)
    assert not any(pb.REASON_WORDS in each.reasons for each in plain.results)
