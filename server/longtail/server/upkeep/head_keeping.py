"""Heads are learned in the process that owns the index, in a thread of their own."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from longtail.server.catalogue.behaviour import BehaviourView
from longtail.server.catalogue.head_learning import HeadLearning
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.settings import Settings
from longtail.server.upkeep.head_watch import HeadWatch


async def keep_learning(
    settings: Settings,
    view: CatalogueReplica,
    behaviour: BehaviourView,
    heads: HeadWatch,
    owned: asyncio.Event,
) -> None:
    """Learn heads once the index is `owned`, until cancelled."""
    await owned.wait()
    stopped = threading.Event()
    learning = HeadLearning(
        stopped,
        settings.head_fit_seconds,
        settings.head_path,
        lambda: view.state,
        lambda: behaviour.behaviour,
        lambda: heads.head,
    )
    with ThreadPoolExecutor(1, thread_name_prefix="head") as thread:
        work = asyncio.get_running_loop().run_in_executor(thread, learning.run)
        try:
            await asyncio.shield(work)
            # Where nothing is to be learned the server goes on.
            await asyncio.Event().wait()
        finally:
            stopped.set()
            await work
