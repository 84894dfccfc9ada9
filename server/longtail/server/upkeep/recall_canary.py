"""The recall canary: now and then a few searches are compared with exact ones.

A graph can lose items quietly, by duplicates, by churn or by a fault; what it still finds is
exported, so that somebody is told.
"""

import asyncio
import logging
import math

import numpy as np
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.catalogue.state import CatalogueState
from longtail.server.process.part import Part
from longtail.server.store.clock import now
from prometheus_client import Gauge

logger = logging.getLogger(__name__)

PERIOD_SECONDS = 60.0
FIRST_SECONDS = 5.0
QUERIES = 8
NEIGHBOURS = 10
# Queries are items moved by noise of this length: near to items, but none of them.
NOISE = 0.4
ALARM = 0.95

RECALL = Gauge(
    "longtail_index_recall",
    "Share of the 10 exact nearest that searches found of late; NaN before they were looked at.",
)
RECALL.set(math.nan)


async def watch_recall(view: CatalogueReplica, part: Part) -> None:
    """Keep `view.recall` and its metric, until cancelled; `part` tells of failures."""
    generator = np.random.default_rng()
    await asyncio.sleep(FIRST_SECONDS)
    while True:
        with part:
            recall = await asyncio.to_thread(measure, view.state, generator)
            if recall is not None:
                view.recall = recall
                RECALL.set(recall)
                if recall < ALARM:
                    logger.warning("searches miss neighbours recall=%.3f", recall)
        await asyncio.sleep(PERIOD_SECONDS)


def measure(state: CatalogueState, generator: np.random.Generator) -> float | None:
    """Return the share of the exact nearest that searches find; None where there are none."""
    scope = state.scope(now(), None)
    rows = np.flatnonzero(scope.mask())
    if not state.index.graph_rows or not len(rows):
        return None
    found = wanted = 0
    for vector in state.index.vectors(generator.choice(rows, QUERIES)):
        noise = generator.normal(size=len(vector))
        query = vector + NOISE * noise / np.linalg.norm(noise)
        query = (query / np.linalg.norm(query)).astype(np.float32)
        exact, _ = state.index.scan(query, NEIGHBOURS, scope)
        rows_found, _ = state.index.search(query, NEIGHBOURS, scope)
        found += len(np.intersect1d(exact, rows_found))
        wanted += len(exact)
    # Items that have vectors in spaces alone are near to nothing.
    return found / wanted if wanted else None
