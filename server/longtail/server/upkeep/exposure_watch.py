"""The exposure watch: keeps the impressions that are to be kept, and the metrics of what was shown.

Long-tail ranking is worth what people see of it, so what they saw in the last day is exported.
"""

import asyncio
import logging
import time

from longtail.server.catalogue.exposure_report import ExposureReport, measure_exposure
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.process.office import Office
from longtail.server.process.part import Part
from longtail.server.settings import Settings
from longtail.server.store.clock import now
from longtail.server.store.group_commit import GroupCommit
from longtail.server.store.record_store import RecordStore
from prometheus_client import Gauge

logger = logging.getLogger(__name__)

DAY = 24 * 3600 * 10**6
PERIOD_SECONDS = 60.0
# The share of the time that measuring may take where there is very much to count.
SHARE = 0.05
# Impressions removed in one write: little enough for no other write to be felt waiting.
PRUNED_AT_ONCE = 1000

COVERAGE = Gauge(
    "longtail_exposure_coverage", "Share of the catalogue that was shown in the last 24 hours."
)
GINI = Gauge(
    "longtail_exposure_gini", "Gini coefficient of the last 24 hours' impressions over all items."
)
TAIL_FRACTION = Gauge(
    "longtail_exposure_tail_fraction", "Mean tail share of the lists of the last 24 hours."
)
MEAN_POPULARITY = Gauge(
    "longtail_exposure_mean_popularity", "Mean popularity of what was shown in the last 24 hours."
)
MEAN_RELEVANCE_LOSS = Gauge(
    "longtail_exposure_mean_relevance_loss", "Mean relevance loss of the last 24 hours' lists."
)


async def watch_exposure(store: RecordStore, view: CatalogueReplica, part: Part) -> None:
    """Keep the metrics of exposure, until cancelled; `part` tells of failures."""
    while True:
        started = time.monotonic()
        with part:
            export(await asyncio.to_thread(_last_day, store, view))
        await asyncio.sleep(max(PERIOD_SECONDS, (time.monotonic() - started) / SHARE))


async def keep_impressions(
    store: RecordStore, commit: GroupCommit, settings: Settings, office: Office, part: Part
) -> None:
    """Keep half-life and retention as `settings` say while in `office`, until cancelled.

    What a full disk, a lock or a fault keeps it from is tried again; `part` tells of it.
    """
    while True:
        await office.taken()
        with part:
            await keep_half_life(store, commit, settings.exposure_half_life_days * DAY)
            await prune(store, commit, now() - round(settings.impression_days * DAY))
        await asyncio.sleep(PERIOD_SECONDS)


async def keep_half_life(store: RecordStore, commit: GroupCommit, half_life: float) -> None:
    """Have exposure decay by `half_life`, microseconds, and be counted anew if that is a change."""
    changed = await asyncio.wrap_future(
        commit.submit(lambda tx: store.impressions.set_half_life(tx, half_life))
    )
    if changed:
        logger.info("exposure counted anew half_life_days=%g", half_life / DAY)


async def prune(store: RecordStore, commit: GroupCommit, before_time: int) -> int:
    """Remove all impressions from before a time, microseconds, in batches; return how many."""
    removed = 0
    while True:
        batch = await asyncio.wrap_future(
            commit.submit(lambda tx: store.impressions.prune(tx, before_time, PRUNED_AT_ONCE))
        )
        removed += batch
        if batch < PRUNED_AT_ONCE:
            return removed


def _last_day(store: RecordStore, view: CatalogueReplica) -> ExposureReport:
    # What is recorded at this very moment is within the day.
    end = now() + 1
    return measure_exposure(store.impressions, view.state, end - DAY, end)


def export(report: ExposureReport) -> None:
    """Set the metrics."""
    COVERAGE.set(report.coverage)
    GINI.set(report.gini)
    TAIL_FRACTION.set(report.tail_fraction)
    MEAN_POPULARITY.set(report.mean_popularity)
    MEAN_RELEVANCE_LOSS.set(report.mean_relevance_loss)
