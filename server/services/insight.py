"""InsightService: what the catalogue looks like."""

import asyncio

from grpc.aio import ServicerContext
from longtail.v1 import insight_service_pb2 as pb
from longtail.v1 import insight_service_pb2_grpc

from server.ranking.popularity import Bucket
from server.store.record_store import RecordStore
from server.view import CatalogueView


class InsightService(insight_service_pb2_grpc.InsightServiceServicer):
    """Counts the catalogue."""

    def __init__(self, store: RecordStore, view: CatalogueView) -> None:
        self._store = store
        self._view = view

    async def GetCatalogStats(
        self,
        request: pb.GetCatalogStatsRequest,
        context: ServicerContext[pb.GetCatalogStatsRequest, pb.GetCatalogStatsResponse],
    ) -> pb.GetCatalogStatsResponse:
        """Count items, interactions and buckets."""
        return await asyncio.to_thread(self._stats)

    def _stats(self) -> pb.GetCatalogStatsResponse:
        counts = self._store.counts()
        state = self._view.state
        revision, shares = state.revision, state.popularity.scale().shares()
        head, mid, tail = (
            pb.BucketStats(item_count=shares[bucket].items, popularity_share=shares[bucket].share)
            for bucket in (Bucket.HEAD, Bucket.MID, Bucket.TAIL)
        )
        return pb.GetCatalogStatsResponse(
            item_count=counts.items,
            interaction_count=counts.interactions,
            user_count=counts.users,
            head=head,
            mid=mid,
            tail=tail,
            revision=revision,
        )
