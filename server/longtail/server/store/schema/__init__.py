"""The tables of the store.

Every committed write takes the next revisions of one sequence and leaves them in the rows that it
changed, so a view that holds revision r is brought up to date by the rows above r. An item that is
removed leaves its row, marked, for the same reason. Order comes from revisions alone: times are
told to people, and the clock may be set back. They are microseconds since the epoch, UTC.
"""

from longtail.server.store.schema.catalogue import (
    Role,
    attribute_names,
    encoders,
    items,
    vectors,
)
from longtail.server.store.schema.impressions import exposure, exposure_decay, impressions
from longtail.server.store.schema.interactions import (
    expiry,
    forgotten,
    interactions,
    popularity,
    popularity_decay,
)
from longtail.server.store.schema.leases import encode_leases, encode_refusals
from longtail.server.store.schema.review import decisions
from longtail.server.store.schema.sequence import (
    counts,
    metadata,
    pseudonyms,
    schema_floor,
    sequence,
    token_key,
)
from longtail.server.store.schema.service import operations, requests, usage
from longtail.server.store.schema.spaces import extra_vectors, vector_spaces

__all__ = [
    "Role",
    "attribute_names",
    "counts",
    "decisions",
    "encode_leases",
    "encode_refusals",
    "encoders",
    "expiry",
    "exposure",
    "exposure_decay",
    "extra_vectors",
    "forgotten",
    "impressions",
    "interactions",
    "items",
    "metadata",
    "operations",
    "popularity",
    "popularity_decay",
    "pseudonyms",
    "requests",
    "schema_floor",
    "sequence",
    "token_key",
    "usage",
    "vector_spaces",
    "vectors",
]
