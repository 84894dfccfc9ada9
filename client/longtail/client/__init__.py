"""Client of Longtail: sync, asyncio and on the command line."""

from longtail.client.aio import AsyncLongtailClient
from longtail.client.errors import LongtailError, Violation, error_from_status
from longtail.client.filters import filter_of, where
from longtail.client.messages import example, pack_vector
from longtail.client.sync import LongtailClient

__all__ = [
    "AsyncLongtailClient",
    "LongtailClient",
    "LongtailError",
    "Violation",
    "error_from_status",
    "example",
    "filter_of",
    "pack_vector",
    "where",
]
