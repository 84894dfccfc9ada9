"""RecommendationService and InsightService, as the fake server has them."""

import grpc
from google.rpc import status_pb2
from longtail.runtime.errors import InvalidArgument, NotFound, Violation
from longtail.v1 import insight_service_pb2, recommendation_service_pb2
from longtail.v1.insight_service_pb2_grpc import InsightServiceServicer
from longtail.v1.recommendation_service_pb2 import BUCKET_TAIL, BatchRecommendResult
from longtail.v1.recommendation_service_pb2_grpc import RecommendationServiceServicer

from tests.unit.client.fake import Fake

BAD_QUERY = InvalidArgument(Violation("requests[0].query", "too long")).status()


class FakeRecommendations(RecommendationServiceServicer):
    def __init__(self, fake: Fake) -> None:
        self.fake = fake

    def Recommend(
        self, request: recommendation_service_pb2.RecommendRequest, context: grpc.ServicerContext
    ) -> recommendation_service_pb2.RecommendResponse:
        self.fake.receive(request, context)
        return self._page(request)

    def BatchRecommend(
        self,
        request: recommendation_service_pb2.BatchRecommendRequest,
        context: grpc.ServicerContext,
    ) -> recommendation_service_pb2.BatchRecommendResponse:
        self.fake.receive(request, context)
        return recommendation_service_pb2.BatchRecommendResponse(
            results=[
                BatchRecommendResult(status=BAD_QUERY)
                if each.query == "refuse me"
                else BatchRecommendResult(status=status_pb2.Status(), response=self._page(each))
                for each in request.requests
            ]
        )

    def CompareRecommendations(
        self,
        request: recommendation_service_pb2.CompareRecommendationsRequest,
        context: grpc.ServicerContext,
    ) -> recommendation_service_pb2.CompareRecommendationsResponse:
        self.fake.receive(request, context)
        return self.fake.comparison

    def ExplainItem(
        self, request: recommendation_service_pb2.ExplainItemRequest, context: grpc.ServicerContext
    ) -> recommendation_service_pb2.ExplainItemResponse:
        self.fake.receive(request, context)
        return self.fake.explanation

    def _page(
        self, request: recommendation_service_pb2.RecommendRequest
    ) -> recommendation_service_pb2.RecommendResponse:
        number = int(request.page_token or 0)
        page = recommendation_service_pb2.RecommendResponse()
        page.CopyFrom(self.fake.pages[number])
        page.timings.total.FromMilliseconds(3)
        if number + 1 < len(self.fake.pages):
            page.next_page_token = str(number + 1)
        return page


class FakeInsight(InsightServiceServicer):
    def __init__(self, fake: Fake) -> None:
        self.fake = fake

    def GetCatalogStats(
        self, request: insight_service_pb2.GetCatalogStatsRequest, context: grpc.ServicerContext
    ) -> insight_service_pb2.GetCatalogStatsResponse:
        return insight_service_pb2.GetCatalogStatsResponse()

    def GetExposureReport(
        self, request: insight_service_pb2.GetExposureReportRequest, context: grpc.ServicerContext
    ) -> insight_service_pb2.GetExposureReportResponse:
        self.fake.receive(request, context)
        return insight_service_pb2.GetExposureReportResponse(
            impression_count=1_000,
            coverage=0.25,
            shares=insight_service_pb2.ExposureShares(head=0.2, mid=0.5, tail=0.3),
            start_time=request.start_time,
            end_time=request.end_time,
        )

    def GetItemPopularity(
        self, request: insight_service_pb2.GetItemPopularityRequest, context: grpc.ServicerContext
    ) -> insight_service_pb2.GetItemPopularityResponse:
        if request.item_id != "1":
            self.fake.failures.append(NotFound("item", request.item_id))
        self.fake.receive(request, context)
        return insight_service_pb2.GetItemPopularityResponse(
            popularity=7.5,
            types=[insight_service_pb2.TypePopularity(type="view", count=12, popularity=6.5)],
            bucket=BUCKET_TAIL,
        )
