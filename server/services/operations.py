"""InsightService and AdminService: what the catalogue looks like, and the running server."""

import asyncio
import importlib.metadata

from google.protobuf import timestamp_pb2
from grpc.aio import ServicerContext
from longtail.v1 import (
    admin_service_pb2,
    admin_service_pb2_grpc,
    insight_service_pb2,
    insight_service_pb2_grpc,
)

from server.ranking.popularity import Bucket
from server.store.record_store import RecordStore
from server.store.records import EncoderBinding
from server.view import CatalogueView


class InsightService(insight_service_pb2_grpc.InsightServiceServicer):
    """Counts the catalogue."""

    def __init__(self, store: RecordStore, view: CatalogueView) -> None:
        self._store = store
        self._view = view

    async def GetCatalogStats(
        self,
        request: insight_service_pb2.GetCatalogStatsRequest,
        context: ServicerContext[
            insight_service_pb2.GetCatalogStatsRequest, insight_service_pb2.GetCatalogStatsResponse
        ],
    ) -> insight_service_pb2.GetCatalogStatsResponse:
        """Count items, interactions and buckets."""
        return await asyncio.to_thread(self._stats)

    def _stats(self) -> insight_service_pb2.GetCatalogStatsResponse:
        counts = self._store.counts()
        with self._view.reading():
            shares = self._view.popularity.ranked().shares()
            revision = self._view.revision
        head, mid, tail = (
            insight_service_pb2.BucketStats(
                item_count=shares[bucket].items, popularity_share=shares[bucket].share
            )
            for bucket in (Bucket.HEAD, Bucket.MID, Bucket.TAIL)
        )
        return insight_service_pb2.GetCatalogStatsResponse(
            item_count=counts.items,
            interaction_count=counts.interactions,
            user_count=counts.users,
            head=head,
            mid=mid,
            tail=tail,
            revision=revision,
        )


class AdminService(admin_service_pb2_grpc.AdminServiceServicer):
    """Describes the server."""

    def __init__(self, view: CatalogueView, binding: EncoderBinding) -> None:
        self._view = view
        self._binding = binding
        self._started = timestamp_pb2.Timestamp()
        self._started.GetCurrentTime()

    async def GetServerInfo(
        self,
        request: admin_service_pb2.GetServerInfoRequest,
        context: ServicerContext[
            admin_service_pb2.GetServerInfoRequest, admin_service_pb2.GetServerInfoResponse
        ],
    ) -> admin_service_pb2.GetServerInfoResponse:
        """Describe the server."""
        index = self._view.index
        return admin_service_pb2.GetServerInfoResponse(
            version=importlib.metadata.version("longtail"),
            model_id=self._binding.model_id,
            dimension=self._binding.dimension,
            revision=self._view.revision,
            start_time=self._started,
            index=admin_service_pb2.IndexInfo(
                live_count=index.live_count,
                tombstone_count=index.tombstone_count,
                links=index.parameters.links,
                ef_construction=index.parameters.ef_construction,
                ef_search=index.parameters.ef_search,
            ),
        )
