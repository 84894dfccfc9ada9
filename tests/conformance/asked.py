"""Items of known vectors, and what is nearest to a vector: asked of a server, and computed."""

from collections.abc import Mapping, Sequence

import numpy as np
from longtail.client import LongtailClient
from longtail.v1.filter_pb2 import Filter
from longtail.v1.item_pb2 import Item
from longtail.v1.recommendation_service_pb2 import Example, RecommendResponse

from tests.faults.items import Material, Vector, batches

LENGTH = 10


def item(material: Material, item_id: str, number: int, version: int = 0) -> Item:
    """Return a version of an item with a vector of its own; none is more popular than another."""
    made = material.item(item_id, number, version)
    made.popularity_prior = 0
    return made


def items(material: Material, count: int) -> list[Item]:
    """Return so many items; the attribute `percent` is a percentile that they fall into."""
    made = [item(material, f"item-{number:05d}", number) for number in range(count)]
    for each, place in zip(made, percentiles(count), strict=True):
        each.attributes["percent"] = place
    return made


def percentiles(count: int) -> list[int]:
    """Return the percentile of each of so many items; one has neighbours of every kind."""
    return [number * 37 % 100 for number in range(count)]


def put(client: LongtailClient, written: Sequence[Item]) -> int:
    """Write items; return the revision that holds them."""
    revision = 0
    for batch in batches(written):
        reply = client.upsert_items(batch, timeout=60)
        assert {status.code for status in reply.statuses} == {0}
        revision = reply.revision
    return revision


def near(
    client: LongtailClient,
    vector: Vector | bytes,
    length: int = LENGTH,
    *,
    filter: Filter | None = None,
    space: str = "",
    min_revision: int = 0,
    page_token: str = "",
    timeout: float | None = None,
) -> RecommendResponse:
    """Return what a server finds near to a vector, in order of nearness alone, copies too."""
    given = vector if isinstance(vector, bytes) else vector.tobytes()
    return client.recommend(
        examples=[Example(vector=given, space=space)],
        strength=0.0,
        page_size=length,
        filter=filter,
        allow_copies=True,
        min_revision=min_revision,
        page_token=page_token,
        timeout=timeout,
    )


def ids(reply: RecommendResponse) -> list[str]:
    """Return the items of a list."""
    return [result.item_id for result in reply.results]


def exact(held: Mapping[str, bytes], vector: Vector, length: int = LENGTH) -> list[str]:
    """Return the ids whose vectors, by id, have the greatest inner products with a vector."""
    names = list(held)
    matrix = np.frombuffer(b"".join(held.values()), "<f4").reshape(len(names), -1)
    return [names[at] for at in np.argsort(-(matrix @ vector), kind="stable")[:length].tolist()]
