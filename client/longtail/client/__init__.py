"""Client of Longtail: sync, asyncio and on the command line."""

from longtail.client.calls.aio import AsyncLongtailClient
from longtail.client.calls.attributes import attributes, attributes_of
from longtail.client.calls.channel import Access
from longtail.client.calls.errors import LongtailError, Violation, error_from_status
from longtail.client.calls.filters import filter_of, where
from longtail.client.calls.messages import (
    boost,
    bury,
    example,
    interaction,
    named_vectors,
    pack_vector,
    pin,
)
from longtail.client.calls.recommend_request import policy, recommend_request
from longtail.client.calls.sync import LongtailClient

__all__ = [
    "Access",
    "AsyncLongtailClient",
    "LongtailClient",
    "LongtailError",
    "Violation",
    "attributes",
    "attributes_of",
    "boost",
    "bury",
    "error_from_status",
    "example",
    "filter_of",
    "interaction",
    "named_vectors",
    "pack_vector",
    "pin",
    "policy",
    "recommend_request",
    "where",
]
