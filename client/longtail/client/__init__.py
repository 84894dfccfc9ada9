"""Client of Longtail: sync, asyncio and on the command line."""

from longtail.client.aio import AsyncLongtailClient
from longtail.client.errors import LongtailError, Violation, error_from_status
from longtail.client.filters import filter_of, where
from longtail.client.messages import boost, bury, example, interaction, pack_vector, pin
from longtail.client.recommend_request import policy, recommend_request
from longtail.client.sync import LongtailClient

__all__ = [
    "AsyncLongtailClient",
    "LongtailClient",
    "LongtailError",
    "Violation",
    "boost",
    "bury",
    "error_from_status",
    "example",
    "filter_of",
    "interaction",
    "pack_vector",
    "pin",
    "policy",
    "recommend_request",
    "where",
]
