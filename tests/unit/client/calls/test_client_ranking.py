"""Pages, batches, comparisons, impressions and exposure through both clients."""

from datetime import UTC, datetime

import pytest
from longtail.client import (
    AsyncLongtailClient,
    LongtailClient,
    LongtailError,
    error_from_status,
    example,
    policy,
    recommend_request,
)
from longtail.runtime.errors import Unavailable
from longtail.v1.insight_service_pb2 import GetExposureReportRequest
from longtail.v1.interaction_service_pb2 import Impression, RecordImpressionsRequest
from longtail.v1.recommendation_service_pb2 import (
    ComparedList,
    CompareRecommendationsRequest,
    Recommendation,
    RecommendRequest,
    RecommendResponse,
)

from tests.unit.client.fake import Fake


def three_pages() -> list[RecommendResponse]:
    return [RecommendResponse(results=[Recommendation(item_id=item_id)]) for item_id in "abc"]


def ids(pages: list[RecommendResponse]) -> list[str]:
    return [result.item_id for page in pages for result in page.results]


async def test_pages_follow_each_other_with_the_rest_of_the_request(fake: Fake) -> None:
    fake.pages = three_pages()
    with LongtailClient(fake.address) as client:
        # An iterator, which only the first page could read.
        wished = (example(item_id=item_id) for item_id in ("1", "2"))
        pages = list(client.recommend_pages("space", examples=wished, page_size=1))
    async with AsyncLongtailClient(fake.address) as asynchronous:
        wished = (example(item_id=item_id) for item_id in ("1", "2"))
        answers = asynchronous.recommend_pages("space", examples=wished, page_size=1)
        awaited = [page async for page in answers]

    assert ids(pages) == ids(awaited) == ["a", "b", "c"]
    requests = [each for each in fake.requests if isinstance(each, RecommendRequest)]
    assert [each.page_token for each in requests] == ["", "1", "2"] * 2
    for request in requests:
        request.ClearField("page_token")
        assert request == requests[0]
    assert len(requests[0].examples) == 2


async def test_pages_end_at_the_limit_and_begin_at_a_token(fake: Fake) -> None:
    fake.pages = three_pages()
    with LongtailClient(fake.address) as client:
        pages = list(client.recommend_pages("space", limit=2))
        later = list(client.recommend_pages("space", page_token="1"))
    async with AsyncLongtailClient(fake.address) as asynchronous:
        awaited = [page async for page in asynchronous.recommend_pages("space", limit=2)]

    assert ids(pages) == ids(awaited) == ["a", "b"]
    assert ids(later) == ["b", "c"]
    assert len(fake.requests) == 6


async def test_each_request_of_a_batch_has_its_own_answer(fake: Fake) -> None:
    requests = [recommend_request("space"), recommend_request("refuse me", user_id="u")]
    with LongtailClient(fake.address) as client:
        answered, refused = client.batch_recommend(requests).results
    async with AsyncLongtailClient(fake.address) as asynchronous:
        await asynchronous.batch_recommend(requests)

    assert fake.requests[0] == fake.requests[1]
    assert answered.response.results[0].item_id == "1"
    assert error_from_status(answered.status) is None
    error = error_from_status(refused.status)
    assert error is not None
    assert error.violations[0].field == "requests[0].query"
    assert not refused.HasField("response")


async def test_policies_are_compared_under_their_names(fake: Fake) -> None:
    fake.comparison.lists.add(name="strict")
    strict = policy(strength=0)
    policies = {"strict": strict, "also strict": strict, "tail": policy(strength=1, explore=2)}
    with LongtailClient(fake.address) as client:
        response = client.compare_recommendations(
            "space", user_id="u", page_size=5, policies=policies
        )
    async with AsyncLongtailClient(fake.address) as asynchronous:
        await asynchronous.compare_recommendations(
            "space", user_id="u", page_size=5, policies=policies
        )

    first, second = fake.requests
    assert isinstance(first, CompareRecommendationsRequest)
    assert first == second
    assert first.request == recommend_request("space", user_id="u", page_size=5)
    assert [each.name for each in first.policies] == ["strict", "also strict", "tail"]
    assert first.policies[1].long_tail.HasField("strength")
    assert first.policies[2].exploration.slots == 2
    assert strict.name == ""
    assert list(response.lists) == [ComparedList(name="strict")]


async def test_impressions_are_items_or_items_and_their_places(fake: Fake) -> None:
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    with LongtailClient(fake.address) as client:
        assert client.record_impressions("token", ["7", "8"]).recorded_count == 2
    async with AsyncLongtailClient(fake.address) as asynchronous:
        await asynchronous.record_impressions("token", {"8": 3}, time=moment)

    plain, placed = fake.requests
    assert isinstance(placed, RecordImpressionsRequest)
    assert plain == RecordImpressionsRequest(
        recommendation_token="token", impressions=[Impression(item_id=each) for each in "78"]
    )
    assert list(placed.impressions) == [Impression(item_id="8", position=3)]
    assert placed.time.ToDatetime(UTC) == moment


def test_impressions_are_sent_again_when_the_server_is_away(fake: Fake) -> None:
    fake.failures = [Unavailable("away")]
    with LongtailClient(fake.address) as client:
        client.record_impressions("token", ["7"])

    first, repeated = fake.requests
    assert first == repeated


async def test_exposure_is_asked_for_a_span_or_for_the_servers_own(fake: Fake) -> None:
    start, end = datetime(2026, 1, 2), datetime(2026, 1, 3, tzinfo=UTC)
    with LongtailClient(fake.address) as client:
        report = client.get_exposure_report(start, end)
    async with AsyncLongtailClient(fake.address) as asynchronous:
        await asynchronous.get_exposure_report()

    assert report.start_time.ToDatetime() == start
    assert report.end_time.ToDatetime(UTC) == end
    assert fake.requests[1] == GetExposureReportRequest()


async def test_popularity_is_that_of_one_item(fake: Fake) -> None:
    with LongtailClient(fake.address) as client:
        assert client.get_item_popularity("1").types[0].count == 12
    async with AsyncLongtailClient(fake.address) as asynchronous:
        with pytest.raises(LongtailError, match="NOT_FOUND"):
            await asynchronous.get_item_popularity("2")
