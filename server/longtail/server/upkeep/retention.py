"""The retention of interactions: what is older than they are to be kept is deleted, once a day.

What is deleted at a time is little, so that no other write is felt waiting for it.
"""

import asyncio
import logging

from longtail.server.process.audit import Audit
from longtail.server.process.office import Office
from longtail.server.process.part import Part
from longtail.server.settings import DAY
from longtail.server.store.clock import now
from longtail.server.store.group_commit import GroupCommit
from longtail.server.store.record_store import RecordStore
from longtail.server.store.records import OperationKind
from longtail.server.store.transaction import Transaction
from prometheus_client import Counter

logger = logging.getLogger(__name__)

PERIOD_SECONDS = 60.0
# Interactions deleted in one write.
EXPIRED_AT_ONCE = 200

EXPIRED = Counter(
    "longtail_interactions_expired_total", "Interactions deleted by LONGTAIL_INTERACTION_DAYS."
)


async def watch_retention(
    store: RecordStore, commit: GroupCommit, kept: int, audit: Audit, office: Office, part: Part
) -> None:
    """Delete interactions older than `kept`, microseconds, while in `office`, until cancelled.

    What a full disk, a lock or a fault keeps it from is tried again; `part` tells of it. A deletion
    that was broken off goes on where it was.
    """
    while True:
        await office.taken()
        with part:
            moment = now()
            last = (await asyncio.to_thread(store.erasures.expiry)).before
            # Files are written and memory is filled anew after each: once a day will do. One that
            # is still to come is from before the clock was set back.
            if moment - kept - last >= DAY or last > moment:
                await expire(store, commit, moment - kept, audit)
        await asyncio.sleep(PERIOD_SECONDS)


async def expire(store: RecordStore, commit: GroupCommit, before: int, audit: Audit) -> int:
    """Delete all interactions from before a time, microseconds, in batches; return how many.

    An operation then erases what that leaves in files and copies.
    """

    def batch(tx: Transaction) -> int:
        count = store.expire(tx, before, EXPIRED_AT_ONCE)
        if count < EXPIRED_AT_ONCE:
            store.operations.pending_or_new(tx, OperationKind.ERASE_USER_DATA)
        return count

    deleted = 0
    while True:
        count = await asyncio.wrap_future(commit.submit(batch))
        EXPIRED.inc(count)
        deleted += count
        if count < EXPIRED_AT_ONCE:
            audit.tell("interactions expired", count=deleted, before=before)
            logger.info("interactions expired count=%d", deleted)
            return deleted
