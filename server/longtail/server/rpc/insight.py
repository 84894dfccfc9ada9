"""InsightService: what the catalogue looks like, and what of it people are shown."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from weakref import ReferenceType, ref

from grpc.aio import ServicerContext
from longtail.runtime.errors import InvalidArgument, NotFound, Violation
from longtail.server.catalogue.columns.columns import NO_ROW
from longtail.server.catalogue.exposure_report import measure_exposure, response_rate
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.catalogue.state import CatalogueState
from longtail.server.process.pools import Pools
from longtail.server.ranking.popularity import Bucket, PopularityScale
from longtail.server.rpc.read.fields import check_id, microseconds
from longtail.server.store.clock import now
from longtail.server.store.record_store import RecordStore
from longtail.v1 import insight_service_pb2 as pb
from longtail.v1 import insight_service_pb2_grpc

# Of the exposure report, where none is asked for; in microseconds.
DEFAULT_SPAN = 24 * 3600 * 10**6
# What a Timestamp can hold: the first moment of the year 1.
EARLIEST = -62_135_596_800 * 10**6


@dataclass(frozen=True)
class _Stats:
    """What was counted of a state, by a scale of popularity; `response.revision` or later."""

    # Weak: it would keep the columns and graphs of a generation that is replaced.
    state: ReferenceType[CatalogueState]
    scale: PopularityScale
    response: pb.GetCatalogStatsResponse


class InsightService(insight_service_pb2_grpc.InsightServiceServicer):
    """Counts the catalogue and its exposure.

    `revision` is that up to which items and persons are known.
    """

    def __init__(
        self,
        store: RecordStore,
        view: CatalogueReplica,
        revision: Callable[[], int],
        pools: Pools,
    ) -> None:
        self._revision = revision
        self._stats: _Stats | None = None
        self._counting = asyncio.Lock()
        self._pools = pools
        self._store = store
        self._view = view

    async def GetCatalogStats(
        self,
        request: pb.GetCatalogStatsRequest,
        context: ServicerContext[pb.GetCatalogStatsRequest, pb.GetCatalogStatsResponse],
    ) -> pb.GetCatalogStatsResponse:
        """Count items, interactions and buckets."""
        stats = self._current()
        if stats is None:
            async with self._counting:
                # Of those who came at once one counts.
                stats = self._current()
                if stats is None:
                    stats = self._stats = await self._pools.administration(self._counted)
        return stats.response

    async def GetExposureReport(
        self,
        request: pb.GetExposureReportRequest,
        context: ServicerContext[pb.GetExposureReportRequest, pb.GetExposureReportResponse],
    ) -> pb.GetExposureReportResponse:
        """Say how the impressions of a span of time were spread."""
        start, end = _span(request)
        measure = partial(measure_exposure, self._store.impressions, self._view.state, start, end)
        report = await self._pools.administration(measure)
        reply = pb.GetExposureReportResponse(
            impression_count=report.impressions,
            list_count=report.lists,
            item_count=report.items,
            coverage=report.coverage,
            gini=report.gini,
            mean_popularity=report.mean_popularity,
            tail_fraction=report.tail_fraction,
            mean_relevance_loss=report.mean_relevance_loss,
            shares=pb.ExposureShares(
                head=report.shares[Bucket.HEAD],
                mid=report.shares[Bucket.MID],
                tail=report.shares[Bucket.TAIL],
            ),
            revision=report.revision,
        )
        reply.start_time.FromMicroseconds(start)
        reply.end_time.FromMicroseconds(end)
        return reply

    async def GetItemPopularity(
        self,
        request: pb.GetItemPopularityRequest,
        context: ServicerContext[pb.GetItemPopularityRequest, pb.GetItemPopularityResponse],
    ) -> pb.GetItemPopularityResponse:
        """Say how popular an item is."""
        check_id("item_id", request.item_id)
        return await self._pools.administration(partial(self._popularity, request.item_id))

    def _popularity(self, item_id: str) -> pb.GetItemPopularityResponse:
        state = self._view.state
        revision = state.revision
        rows = state.columns.rows_at([item_id], revision)
        if rows[0] == NO_ROW:
            raise NotFound("item", item_id)
        decay, types = self._store.changes.popularity_of(item_id)
        responses, all_responses = self._store.impressions.responses(item_id)
        mass, scale = state.columns.mass(rows), state.popularity.scale()
        bucket = Bucket(scale.bucket(mass)[0])
        return pb.GetItemPopularityResponse(
            popularity=mass[0],
            prior=state.columns.prior(rows)[0],
            types=[
                pb.TypePopularity(
                    type=each.type,
                    count=each.interactions,
                    popularity=state.weights.of(each.type)
                    * each.total.at(decay.newest, decay.half_life),
                )
                for each in types
            ],
            bucket=f"BUCKET_{bucket.name}",
            popularity_percentile=scale.percentile(mass)[0],
            impression_count=responses.impressions,
            response_rate=response_rate(responses, all_responses),
            revision=revision,
        )

    def _current(self) -> _Stats | None:
        """Return what was counted if it is so still."""
        stats, state, revision = self._stats, self._view.state, self._revision()
        if stats is None or stats.state() is not state or stats.response.revision != revision:
            return None
        # Of a large catalogue it changes a moment after the revision.
        return stats if stats.scale is state.popularity.scale() else None

    def _counted(self) -> _Stats:
        # Asked first: what is written meanwhile has a revision of its own, and is counted anew.
        revision, state = self._revision(), self._view.state
        scale, counts = state.popularity.scale(), self._store.counts()
        shares = scale.shares()
        head, mid, tail = (
            pb.BucketStats(item_count=shares[bucket].items, popularity_share=shares[bucket].share)
            for bucket in (Bucket.HEAD, Bucket.MID, Bucket.TAIL)
        )
        response = pb.GetCatalogStatsResponse(
            item_count=counts.items,
            interaction_count=counts.interactions,
            user_count=counts.users,
            head=head,
            mid=mid,
            tail=tail,
            revision=revision,
        )
        return _Stats(ref(state), scale, response)


def _span(request: pb.GetExposureReportRequest) -> tuple[int, int]:
    """Return from when on, and until just before when, in microseconds since the epoch."""
    end = microseconds("end_time", request.end_time) if request.HasField("end_time") else now()
    start = max(EARLIEST, end - DEFAULT_SPAN)
    if request.HasField("start_time"):
        start = microseconds("start_time", request.start_time)
    if end <= start:
        field = "end_time" if request.HasField("end_time") else "start_time"
        raise InvalidArgument(Violation(field, "leaves no time between start_time and end_time"))
    return start, end
