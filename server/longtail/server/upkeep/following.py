"""Takes in what is written through this process and through others: the catalogue, and people."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from longtail.runtime.errors import Unavailable
from longtail.server.catalogue.behaviour import BehaviourView
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.process.part import Part
from longtail.server.process.pools import Pools
from longtail.server.process.reach import Reach
from longtail.server.store.record_store import RecordStore

# A write through another process is seen after so long at the latest.
FOLLOW_SECONDS = 0.1
# When it could not be followed, twice; and where writes are heard of, should one be missed.
FOLLOW_AGAIN_SECONDS = 1.0
# What was heard of at one moment is followed at once.
HEARD_SECONDS = 0.005


@dataclass
class Follower:
    """What follows the store, one after the other.

    `behind`: what was written could not be followed, and is to be tried again.
    """

    store: RecordStore
    view: CatalogueReplica
    behaviour: BehaviourView
    reach: Reach
    behind: bool = False

    def follow(self) -> None:
        """Take in what the store changed; return when it can be read."""
        try:
            # In this order, so that what is seen in the catalogue is known of people too.
            self.behaviour.follow()
            self.view.follow()
        except BaseException as error:
            self.behind = True
            if isinstance(error, Unavailable):
                self.reach.tell(away=True)
            raise
        self.reach.tell(away=False)


async def keep_following(
    follower: Follower, pools: Pools, part: Part, heard: asyncio.Event, others: bool
) -> None:
    """Take in what others write: at once where it is `heard` of, else after a while.

    `others`: whether this server has other processes. What a write of this process could not be
    followed by is tried again, by whomever it is.
    """
    shared = follower.store.is_shared
    seconds = FOLLOW_AGAIN_SECONDS if shared else FOLLOW_SECONDS
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds if part.well else FOLLOW_AGAIN_SECONDS):
                await heard.wait()
                await asyncio.sleep(HEARD_SECONDS)
        heard.clear()
        if others or shared or follower.behind:
            follower.behind = False
            with part:
                await pools.elements(1, follower.follow)


async def keep_listening(follower: Follower, part: Part, heard: asyncio.Event) -> None:
    """Set `heard` whenever others wrote what is not followed yet, if anybody tells of it."""
    while True:
        with part:
            async for revision in follower.store.written():
                if min(follower.view.revision, follower.behaviour.revision) < revision:
                    heard.set()
            # Nobody tells.
            await asyncio.Event().wait()
        await asyncio.sleep(FOLLOW_AGAIN_SECONDS)
