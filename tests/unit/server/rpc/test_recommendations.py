"""What RecommendationService does around its recommender."""

import asyncio
import threading
from collections.abc import Awaitable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from longtail.client import filter_of, where
from longtail.runtime import identity
from longtail.runtime.deadline import within
from longtail.runtime.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    InferenceFailed,
    InvalidArgument,
    NotFound,
    Overloaded,
    ServiceError,
    Unavailable,
)
from longtail.server.catalogue.people import Person
from longtail.server.catalogue.state import CatalogueState
from longtail.server.process.pools import Pools
from longtail.server.process.reach import Reach
from longtail.server.recommend.request import Request
from longtail.server.rpc import answer_room, recommendations
from longtail.server.rpc.read.recommend_request import ReadRequest, read_request
from longtail.server.rpc.recommendations import AT_ONCE, SHORT_PAGE
from longtail.server.rpc.tokens.recommendation import item_hash
from longtail.server.store.records import EncoderBinding
from longtail.v1 import filter_pb2
from longtail.v1 import recommendation_service_pb2 as pb
from numpy.typing import NDArray

from tests.unit.server.answers import (
    SmallCatalogue,
    small_catalogue,
)
from tests.unit.server.fake_recommender import Asked, Serving
from tests.unit.server.written_catalogue import fields, vector_of


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallCatalogue]:
    with small_catalogue(tmp_path_factory.mktemp("catalogue")) as small:
        yield small


@pytest.fixture
def serving(catalogue: SmallCatalogue) -> Iterator[Serving]:
    caller = identity._caller.set(identity.Caller("caller", identity.Role.READ))
    with Pools() as pools, within(30):
        yield Serving(catalogue, pools)
    identity._caller.reset(caller)


def ids(reply: pb.RecommendResponse) -> list[str]:
    return [result.item_id for result in reply.results]


async def refused(call: Awaitable[object]) -> list[str]:
    """Return the fields that a refused call names."""
    with pytest.raises(InvalidArgument) as caught:
        await call
    return [violation.field for violation in caught.value.violations]


async def test_all_pages_are_from_the_candidates_of_the_first(serving: Serving) -> None:
    reply = await serving.recommend(query="robots", page_size=3)
    pages = [reply]
    while reply.next_page_token:
        reply = await serving.recommend(
            query="robots", page_size=2, page_token=reply.next_page_token
        )
        pages.append(reply)
    assert [ids(page) for page in pages] == [["a", "b", "c"], ["d", "e"], ["f", "g"], ["h"]]
    assert [result.rank for page in pages for result in page.results] == list(range(1, 9))
    assert pages[-1].short_page_reason == pb.SHORT_PAGE_REASON_LAST_PAGE
    assert len({page.recommendation_token for page in pages}) == 4


async def test_a_token_of_another_request_is_refused(serving: Serving) -> None:
    token = (await serving.recommend(query="robots", page_size=3)).next_page_token
    assert await refused(serving.recommend(query="crime", page_token=token)) == ["page_token"]


async def test_a_recommendation_token_names_the_list(serving: Serving) -> None:
    reply = await serving.recommend(query="robots", user_id="ann", page_size=3)
    named = serving.tokens.decode(reply.recommendation_token)
    assert named is not None
    assert named.user_id == "ann"
    assert named.item_hashes == tuple(map(item_hash, "abc"))
    assert named.propensities == (0.25, 1.0, 1.0)
    assert named.revision == reply.provenance.revision
    assert named.strength == pytest.approx(0.3)
    assert named.relevance_loss == 0.125
    assert named.tail_fraction == pytest.approx(1 / 3)


async def test_an_empty_list_has_no_token(serving: Serving) -> None:
    reply = await serving.recommend(query="robots", exclude=pb.Exclusions(item_ids="abcdefgh"))
    assert not reply.results
    assert reply.recommendation_token == ""


async def test_texts_become_vectors_of_the_catalogues_encoder(
    serving: Serving, catalogue: SmallCatalogue
) -> None:
    examples = [pb.Example(item_id="a"), pb.Example(text="crime", weight=-0.5)]
    await serving.recommend(query="robots", examples=examples)
    binding = catalogue.state.encoder.binding
    assert [call[0] for call in serving.encoder.calls] == [("robots", "crime")]
    [asked] = serving.recommender.requests
    assert asked.query is not None
    assert asked.query.tolist() == vector_of("robots", binding).tolist()
    assert [(e.vector.tolist(), e.weight, e.position) for e in asked.examples] == [
        (vector_of("crime", binding).tolist(), -0.5, 1)
    ]
    await serving.recommend(user_id="ann")
    assert len(serving.encoder.calls) == 1


async def test_without_an_encoder_only_what_allows_it_is_answered(serving: Serving) -> None:
    serving.encoder.failures["robots"] = Unavailable("no worker")
    with pytest.raises(Unavailable):
        await serving.recommend(query="robots")
    reply = await serving.recommend(query="robots", allow_degraded=True)
    assert list(reply.degraded) == [pb.DEGRADATION_ENCODER_UNAVAILABLE]
    assert serving.recommender.requests[-1].query is None


@pytest.mark.parametrize(
    "failure",
    [Unavailable("away"), DeadlineExceeded("hangs"), Overloaded("full", retry_seconds=1)],
)
async def test_what_keeps_the_encoder_from_answering_degrades(
    serving: Serving, failure: ServiceError
) -> None:
    serving.encoder.failures["robots"] = failure
    with pytest.raises(type(failure)):
        await serving.recommend(query="robots")
    reply = await serving.recommend(query="robots", allow_degraded=True)
    assert list(reply.degraded) == [pb.DEGRADATION_ENCODER_UNAVAILABLE]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up an encoder soon, and leave the answer much more time than it takes."""
    monkeypatch.setattr(recommendations, "ENCODER_SHARE", 0.005)


@pytest.mark.usefixtures("impatient")
async def test_an_encoder_that_hangs_leaves_time_for_an_answer_without_it(
    serving: Serving,
) -> None:
    await serving.recommend(query="known")
    serving.encoder.go.clear()
    robots = pb.RecommendRequest(query="robots", allow_degraded=True)
    allowed: list[tuple[bool, Awaitable[Sequence[pb.Degradation]]]] = [
        (True, _degraded(serving.recommend(query="robots", allow_degraded=True))),
        (True, _degraded(serving.explain("a", query="robots", allow_degraded=True))),
        (True, _degraded(_first(serving.compare(robots, pb.ComparedPolicy())))),
        (False, _degraded(serving.recommend(query="known", allow_degraded=True))),
    ]
    for degraded, answer in allowed:
        # Its caller's time: it is over when that is.
        async with asyncio.timeout(60):
            with within(60):
                said = [pb.DEGRADATION_ENCODER_UNAVAILABLE] if degraded else []
                assert await answer == said


@pytest.mark.usefixtures("impatient")
async def test_in_a_batch_an_encoder_that_hangs_fails_those_that_need_it(
    serving: Serving,
) -> None:
    await serving.recommend(query="known")
    serving.encoder.go.clear()
    texts = [pb.RecommendRequest(query=f"{n}", allow_degraded=n > 1) for n in range(4 * AT_ONCE)]
    known, nothing = pb.RecommendRequest(query="known"), pb.RecommendRequest(user_id="ann")
    async with asyncio.timeout(60):
        with within(60):
            reply = await serving.batch(*texts, known, nothing)
    codes = [result.status.code for result in reply.results]
    assert codes == [4, 4, *[0] * len(texts[2:]), 0, 0]
    degraded = [list(result.response.degraded) for result in reply.results[2:]]
    assert degraded == [[pb.DEGRADATION_ENCODER_UNAVAILABLE]] * len(texts[2:]) + [[], []]


async def _degraded(
    answer: Awaitable[pb.RecommendResponse | pb.ExplainItemResponse],
) -> Sequence[pb.Degradation]:
    return list((await answer).degraded)


async def _first(answer: Awaitable[pb.CompareRecommendationsResponse]) -> pb.RecommendResponse:
    return (await answer).lists[0].response


async def test_what_is_made_before_all_that_people_did_is_read_says_so(serving: Serving) -> None:
    serving.complete = False
    request = pb.RecommendRequest(user_id="ann")
    batch = await serving.batch(request)
    for reply in (
        await serving.recommend(user_id="ann"),
        await serving.explain("a", user_id="ann"),
        await _first(serving.compare(request, pb.ComparedPolicy())),
        batch.results[0].response,
    ):
        assert list(reply.degraded) == [pb.DEGRADATION_BEHAVIOUR_INCOMPLETE]
    serving.encoder.failures["robots"] = Unavailable("no worker")
    both = await serving.recommend(query="robots", allow_degraded=True)
    assert set(both.degraded) == {
        pb.DEGRADATION_BEHAVIOUR_INCOMPLETE,
        pb.DEGRADATION_ENCODER_UNAVAILABLE,
    }
    serving.complete = True
    assert not (await serving.recommend(user_id="ann")).degraded


async def test_while_the_store_is_away_what_is_in_memory_answers_and_says_so(
    serving: Serving, catalogue: SmallCatalogue
) -> None:
    with Reach(bounded=True) as reach:
        serving.service._reach = reach
        before = await serving.recommend(user_id="ann", include_items=True)
        assert not before.degraded
        assert all(result.HasField("item") for result in before.results)
        reach.tell(away=True)
        request = pb.RecommendRequest(user_id="bob", include_items=True)
        batch = await serving.batch(request)
        for reply in (
            await serving.recommend(user_id="bob", include_items=True),
            await serving.explain("a", user_id="bob", include_items=True),
            await _first(serving.compare(request, pb.ComparedPolicy())),
            batch.results[0].response,
        ):
            assert list(reply.degraded) == [pb.DEGRADATION_STORE_UNAVAILABLE]
        listed = await serving.recommend(user_id="bob", include_items=True)
        assert [result.item_id for result in listed.results]
        assert not any(result.HasField("item") for result in listed.results)
        # Somebody who was not read is not held as somebody who did nothing.
        assert catalogue.people.known("bob") is None
        reach.tell(away=False)
        assert not (await serving.recommend(user_id="bob")).degraded
        assert catalogue.people.known("bob") is not None


async def test_a_text_is_encoded_once(serving: Serving) -> None:
    for _ in range(2):
        await serving.recommend(query="robots", examples=[pb.Example(text="robots")])
    assert serving.encoder.texts == ["robots"]


async def test_a_revision_is_waited_for_by_following(
    serving: Serving, catalogue: SmallCatalogue
) -> None:
    await serving.recommend(min_revision=catalogue.state.revision)
    assert serving.followed == 0
    ahead = catalogue.state.revision + 1
    with pytest.raises(FailedPrecondition, match=f"{ahead} is ahead"):
        await serving.recommend(min_revision=ahead)
    assert serving.followed == 1


async def test_a_revision_is_there_when_persons_are_too(
    catalogue: SmallCatalogue, serving: Serving
) -> None:
    # The items may be ahead of what is known of persons, between two looks into the store.
    persons = catalogue.state.revision - 1
    serving.service._revision = lambda: min(catalogue.replica.revision, persons)
    with pytest.raises(FailedPrecondition, match=f"which is at {persons}"):
        await serving.recommend(min_revision=catalogue.state.revision)
    assert serving.followed == 1


async def test_items_come_with_the_results_when_they_are_asked_for(
    serving: Serving, catalogue: SmallCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = await serving.recommend(page_size=2)
    assert not any(result.HasField("item") for result in bare.results)
    reply = await serving.recommend(page_size=2, include_items=True)
    assert [result.item.id for result in reply.results] == ["a", "b"]
    assert reply.results[0].item.attributes["genre"] == "crime"
    # One was removed after the answer was made.
    held = catalogue.records.get(["b"])
    monkeypatch.setattr(catalogue.records, "get", lambda _ids: held)
    reply = await serving.recommend(page_size=2, include_items=True)
    assert [result.HasField("item") for result in reply.results] == [False, True]
    assert ids(reply) == ["a", "b"]


async def test_long_lists_are_made_off_the_event_loop(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_in: list[bool] = []
    searched = serving.recommender.searched

    def noted(state: CatalogueState, request: Request, person: Person) -> Asked:
        made_in.append(threading.current_thread() is threading.main_thread())
        return searched(state, request, person)

    monkeypatch.setattr(serving.recommender, "searched", noted)
    everything = filter_pb2.Filter(all_of=[filter_pb2.Condition(field="genre", exists=True)])
    await serving.recommend(page_size=SHORT_PAGE)
    await serving.recommend(page_size=SHORT_PAGE + 1)
    await serving.recommend(filter=everything)
    await serving.recommend(user_id="ann", rotation=pb.Rotation(rate=0.5))
    await serving.recommend(include_items=True)
    rule = pb.Rule(boost=2, filter=everything)
    await serving.recommend(rules=[rule])
    rule.filter.any_of.extend([filter_pb2.Condition(field="genre", exists=True)] * 30)
    await serving.recommend(rules=[rule] * 2)
    assert made_in == [True, False, False, False, False, True, False]


async def test_a_long_request_is_read_off_the_event_loop(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_in: list[bool] = []

    def noted(message: pb.RecommendRequest, **settings: Any) -> ReadRequest:  # noqa: ANN401
        read_in.append(threading.current_thread() is threading.main_thread())
        return read_request(message, **settings)

    monkeypatch.setattr(recommendations, "read_request", noted)
    many = pb.Exclusions(item_ids=[str(n) for n in range(1000)])
    await serving.recommend(query="robots")
    await serving.recommend(query="robots", exclude=many)
    await serving.batch(pb.RecommendRequest(exclude=many))
    await serving.compare(pb.RecommendRequest(exclude=many), pb.ComparedPolicy())
    await serving.explain("b", exclude=many)
    assert read_in == [True, False, False, False, False]


async def test_nothing_is_encoded_for_what_is_refused(serving: Serving) -> None:
    request = pb.RecommendRequest(query="robots")
    wrong = pb.ComparedPolicy(long_tail=pb.LongTail(strength=2))
    assert await refused(serving.compare(request, wrong)) == ["policies[0].long_tail.strength"]
    condition = filter_pb2.Condition(field="genre")
    getattr(condition, "in").values.extend([filter_pb2.Operand(text="a")] * 1000)
    request.filter.all_of.extend([condition] * 11)
    reply = await serving.batch(request, pb.RecommendRequest())
    assert "requests[0].filter" in reply.results[0].status.message
    assert reply.results[1].HasField("response")
    assert serving.encoder.calls == []


async def test_timings_hold_each_other(serving: Serving) -> None:
    timings = (await serving.recommend(query="robots")).timings
    assert 0 < timings.embedding.ToNanoseconds() < timings.total.ToNanoseconds()


async def test_what_is_wrong_is_named_as_it_lies_in_the_request(serving: Serving) -> None:
    assert await refused(serving.recommend(page_size=-1)) == ["page_size"]
    assert await refused(serving.recommend(user_id="nobody to please")) == ["examples"]
    assert await refused(serving.explain("a", page_size=-1)) == ["request.page_size"]
    assert await refused(serving.explain("a", user_id="nobody to please")) == ["request.examples"]
    assert await refused(serving.explain("")) == ["item_id"]
    wrong, cancelled = (
        pb.RecommendRequest(page_size=-1),
        pb.RecommendRequest(user_id="nobody to please"),
    )
    one = pb.ComparedPolicy()
    assert await refused(serving.compare(wrong, one)) == ["request.page_size"]
    assert await refused(serving.compare(cancelled, one)) == ["request.examples"]
    assert await refused(serving.compare(pb.RecommendRequest())) == ["policies"]
    later = pb.RecommendRequest(page_token="x")
    assert await refused(serving.compare(later, one)) == ["request.page_token"]


async def test_each_request_of_a_batch_stands_for_itself(serving: Serving) -> None:
    serving.encoder.failures["bad text"] = InferenceFailed("cannot be embedded")
    reply = await serving.batch(
        pb.RecommendRequest(query="robots", page_size=2),
        pb.RecommendRequest(page_size=-1),
        pb.RecommendRequest(query="bad text"),
        pb.RecommendRequest(min_revision=10**6),
        pb.RecommendRequest(user_id="nobody to please"),
        pb.RecommendRequest(user_id="ann", page_size=1),
    )
    assert [result.status.code for result in reply.results] == [0, 3, 13, 9, 3, 0]
    assert [fields(result.status) for result in reply.results] == [
        [],
        ["requests[1].page_size"],
        [],
        [],
        ["requests[4].examples"],
        [],
    ]
    assert [result.HasField("response") for result in reply.results] == [
        result.status.code == 0 for result in reply.results
    ]
    assert ids(reply.results[0].response) == ["a", "b"]
    assert ids(reply.results[5].response) == ["a"]
    assert reply.results[0].response.recommendation_token
    assert reply.results[0].response.next_page_token


@pytest.mark.parametrize("count", [0, 101])
async def test_a_batch_that_is_empty_or_too_large_is_refused(serving: Serving, count: int) -> None:
    assert await refused(serving.batch(*[pb.RecommendRequest()] * count)) == ["requests"]


async def test_a_batch_does_not_take_all_the_room(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way: set[str] = set()
    most, vectors_of = 0, serving.vectors.of

    async def of(
        texts: Sequence[str], binding: EncoderBinding, seconds: float | None
    ) -> NDArray[np.float32]:
        nonlocal most
        under_way.update(texts)
        most = max(most, len(under_way))
        found = await vectors_of(texts, binding, seconds)
        under_way.difference_update(texts)
        return found

    monkeypatch.setattr(serving.vectors, "of", of)
    requests = [pb.RecommendRequest(query=f"query {n}", page_size=1) for n in range(100)]
    reply = await serving.batch(*requests)
    assert [result.status.code for result in reply.results] == [0] * 100
    assert most == AT_ONCE
    assert sorted(serving.encoder.texts) == sorted(request.query for request in requests)


async def test_a_list_that_does_not_fit_beside_the_others_is_refused_alone(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = pb.RecommendRequest(query="robots", page_size=8)
    short = pb.RecommendRequest(query="robots", page_size=1)
    size = (await serving.recommend(query="robots", page_size=8)).ByteSize()
    # Room for one long list and a half.
    monkeypatch.setattr(answer_room, "MAX_MESSAGE_BYTES", answer_room.STATUS_BYTES + size * 3 // 2)
    reply = await serving.batch(long, long, short)
    # Whichever long list is ready first has the room.
    [left_out] = (result for result in reply.results if result.status.code == 8)
    assert left_out in reply.results[:2]
    assert "ask for it in another call" in left_out.status.message
    assert not left_out.HasField("response")
    assert [result.HasField("response") for result in reply.results].count(True) == 2


async def test_policies_are_compared_side_by_side(serving: Serving) -> None:
    request = pb.RecommendRequest(query="robots", page_size=5)
    tail = pb.ComparedPolicy(name="all tail", long_tail=pb.LongTail(strength=1))
    reply = await serving.compare(request, pb.ComparedPolicy(), tail)
    first, second = reply.lists
    assert (first.name, second.name) == ("policy 1", "all tail")
    assert ids(first.response) == list("abcde")
    assert ids(second.response) == list("hgfed")
    assert (first.response.policy.strength, second.response.policy.strength) == (0.3, 1.0)
    assert second.common_count == 2
    assert [(move.item_id, move.first_rank, move.rank) for move in second.moves][-2:] == [
        ("e", 5, 4),
        ("d", 4, 5),
    ]
    # What is compared is not shown to anybody, and has no next page.
    for compared in reply.lists:
        assert compared.response.recommendation_token == ""
        assert compared.response.next_page_token == ""
        assert compared.response.timings.total.ToNanoseconds() > 0
    assert len(serving.encoder.calls) == 1


async def test_a_listed_item_is_explained(serving: Serving) -> None:
    reply = await serving.explain("b", query="robots", include_items=True)
    assert reply.verdict == pb.VERDICT_LISTED
    assert reply.recommendation.rank == 2
    assert reply.recommendation.item.id == "b"
    bare = await serving.explain("b", query="robots", explain=pb.EXPLAIN_NONE)
    assert bare.recommendation.HasField("breakdown")
    assert not bare.recommendation.HasField("item")


async def test_an_item_that_is_in_no_list_is_explained(serving: Serving) -> None:
    outranked = await serving.explain("h", query="robots", page_size=2)
    assert outranked.verdict == pb.VERDICT_OUTRANKED
    left_out = await serving.explain("past", query="robots", include_items=True)
    assert left_out.verdict == pb.VERDICT_NOT_RETRIEVED
    assert left_out.recommendation.item.id == "past"


async def test_an_explanation_names_the_attributes_that_no_item_has(serving: Serving) -> None:
    wanted = filter_of(none_of=[where("genres").equals("crime")])
    reply = await serving.explain("b", query="robots", filter=wanted)
    assert list(reply.missing_attributes) == [pb.MissingAttribute(field="genres", nearest="genre")]


async def test_what_the_catalogue_does_not_hold_is_not_found(serving: Serving) -> None:
    with pytest.raises(NotFound):
        await serving.explain("nowhere", query="robots")
