"""The calls of InsightService: see `recommendations`."""

from datetime import datetime

from longtail.client.calls.call import Call
from longtail.v1.insight_service_pb2 import (
    GetCatalogStatsRequest,
    GetCatalogStatsResponse,
    GetExposureReportRequest,
    GetExposureReportResponse,
    GetItemPopularityRequest,
    GetItemPopularityResponse,
)


def catalog_stats(
    *, timeout: float | None = None
) -> Call[GetCatalogStatsRequest, GetCatalogStatsResponse]:
    """Count items, interactions, persons and buckets of popularity."""
    return Call(GetCatalogStatsRequest(), GetCatalogStatsResponse, timeout)


def get_exposure_report(
    start: datetime | None = None,
    end: datetime | None = None,
    *,
    timeout: float | None = None,
) -> Call[GetExposureReportRequest, GetExposureReportResponse]:
    """Say how the impressions of a span were spread over the catalogue, and what that cost.

    The span is from `start`, 24 hours before its end when None, until just before `end`, now when
    None. A time without a zone is UTC.
    """
    return Call(
        GetExposureReportRequest(start_time=start, end_time=end), GetExposureReportResponse, timeout
    )


def get_item_popularity(
    item_id: str, *, timeout: float | None = None
) -> Call[GetItemPopularityRequest, GetItemPopularityResponse]:
    """Say how popular an item is and what that is made of; NOT_FOUND when there is no such item."""
    return Call(GetItemPopularityRequest(item_id=item_id), GetItemPopularityResponse, timeout)
