"""10,000 real items: what is found is compared with an exact search of the exported vectors."""

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from longtail.client import LongtailClient, filter_of, where
from longtail.v1.filter_pb2 import Filter
from numpy.typing import NDArray

from tests.conformance.asked import LENGTH, ids, near, put
from tests.conformance.combinations import Combination
from tests.conformance.deployment import Deployment
from tests.conformance.deployments import Deployments
from tests.conformance.matrix import FIGURE
from tests.conformance.real_items import ITEMS, RealItems
from tests.conformance.test_catalogue import PERCENTS
from tests.faults.extent import FULL

pytestmark = [
    pytest.mark.model,
    pytest.mark.data,
    pytest.mark.usefixtures("development_data"),
    pytest.mark.skipif(not FULL, reason="takes a minute for each combination"),
]

DEFAULTS = {
    "LONGTAIL_INDEX_MERGE_ROWS": "2048",
    "LONGTAIL_INDEX_EF_SEARCH": "400",
    "LONGTAIL_CANDIDATES": "200",
}
LEAST_RECALL = 0.97
# float32 products that are summed in another order differ by less.
CLOSE = 2e-6


@pytest.fixture(scope="module")
def real(worker_address: str) -> RealItems:
    """Return the items and what is asked."""
    return RealItems.of(worker_address)


@pytest.fixture
def deployment(
    combination: Combination, deployments: Deployments, worker_address: str
) -> Iterator[Deployment]:
    """Return servers of a combination that are set as they are by default."""
    with deployments.fresh(combination, worker_address, **DEFAULTS) as running:
        yield running


def test_10000_real_items_are_found(
    deployment: Deployment, real: RealItems, record_property: Callable[[str, object], None]
) -> None:
    client = deployment.client
    start = time.monotonic()
    written = put(client, real.items)
    rate = ITEMS / (time.monotonic() - start)
    record_property(FIGURE, f"items written per second, one caller: {rate:,.0f}")
    exported = {item.id: item.vector for item in client.export_items()}
    assert exported.keys() == {item.id for item in real.items}
    client.recommend(min_revision=written)
    recall, _ = asked(client, exported, real.asked)
    record_property(FIGURE, f"recall@10 just after they were written: {recall:.3f}")
    assert recall >= LEAST_RECALL
    deployment.rebuild()
    for server in deployment.clients:
        recall, seconds = asked(server, exported, real.asked)
        assert recall >= LEAST_RECALL
    record_property(FIGURE, f"recall@10: {recall:.3f}")
    record_property(FIGURE, f"ms of Recommend by a vector, p50: {seconds * 1000:.1f}")
    for percent in PERCENTS:
        filter = filter_of(all_of=[where("percent").between(less_than=percent)])
        passing = {
            item.id: exported[item.id]
            for item in real.items
            if item.attributes["percent"] in range(percent)
        }
        recall, seconds = asked(client, passing, real.asked, filter=filter)
        record_property(FIGURE, f"recall@10 of a filter of {percent} %: {recall:.3f}")
        record_property(
            FIGURE, f"ms of Recommend with that filter of {percent} %, p50: {seconds * 1000:.1f}"
        )
        assert recall >= LEAST_RECALL
    # A tenth goes, and what is found is of the rest.
    gone = {item.id for item in real.items[::10]}
    for start_ in range(0, len(gone), 1000):
        written = client.delete_items(sorted(gone)[start_ : start_ + 1000]).revision
    rest = {name: vector for name, vector in exported.items() if name not in gone}
    for server in deployment.clients:
        server.recommend(min_revision=written)
        recall, _ = asked(server, rest, real.asked)
        assert recall >= LEAST_RECALL
    record_property(FIGURE, f"recall@10 when a tenth was deleted: {recall:.3f}")


def asked(
    client: LongtailClient,
    held: dict[str, bytes],
    vectors: NDArray[np.float32],
    filter: Filter | None = None,
) -> tuple[float, float]:
    """Ask for the nearest of each vector; return recall@10, and the median of the seconds.

    An item as near as the tenth is as good as that. Fails when anything is found that is not among
    those `held`, or too little.
    """
    rows = {name: row for row, name in enumerate(held)}
    matrix = np.frombuffer(b"".join(held.values()), "<f4").reshape(len(held), -1)
    cosines = vectors @ matrix.T
    tenth = np.partition(cosines, -LENGTH, axis=1)[:, -LENGTH]
    hits, seconds = 0, []
    for vector, near_to, least in zip(vectors, cosines, tenth, strict=True):
        start = time.perf_counter()
        found = ids(near(client, vector, filter=filter))
        seconds.append(time.perf_counter() - start)
        assert len(set(found)) == LENGTH
        hits += int((near_to[[rows[name] for name in found]] >= least - CLOSE).sum())
    return hits / (LENGTH * len(vectors)), sorted(seconds)[len(seconds) // 2]
