"""What people did, in memory: a view that follows the store, as that of the catalogue does.

Persons are read when they are asked for. Who liked what is read whole at start, in a thread of its
own: until that is done answers come without it. From then on each write is taken in before it is
acknowledged. After a deletion by age it is read anew beside what there is: when each liked what is
not held. Another thread keeps a regression on it.
"""

import logging
import threading
import time
from itertools import takewhile
from types import TracebackType
from typing import Self

from longtail.server.catalogue.people import People
from longtail.server.catalogue.regressing import Regressing
from longtail.server.ranking.behaviour import Behaviour
from longtail.server.store.record_store import RecordStore
from longtail.server.store.records import Activity
from prometheus_client import Gauge

logger = logging.getLogger(__name__)

COMPLETE = Gauge("longtail_behaviour_complete", "1 while answers go by all that people did.")

# A start waits so long for what people did: a small store is read and fitted in that time.
PATIENCE_SECONDS = 2.0
# After so long a load that failed is tried again.
RETRY_SECONDS = 10.0
# The share of the time that reading anew may take while deletions go on.
SHARE = 0.1


class BehaviourView:
    """Persons, and who liked what, kept up to date. Take `behaviour` once per request.

    Behaviour is loaded and fitted while the block lasts; persons can be had before. A regression
    works for at most `fit_seconds`, 0: there is none.
    """

    def __init__(
        self,
        store: RecordStore,
        fit_seconds: float = 0.0,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self.people = People(store)
        self._store = store
        self._patience = patience_seconds
        self._following = threading.Lock()
        self._stopped = threading.Event()
        self._loaded = threading.Event()
        # Set when all is to be read anew.
        self._stale = threading.Event()
        self._regressing = Regressing(self._stopped, fit_seconds)
        self._behaviour = Behaviour()
        self._complete = False
        self._revision = store.changes.position().revision
        self._thread = threading.Thread(target=self._load, name="behaviour", daemon=True)
        self._fitting = threading.Thread(target=self._fit, name="regression", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._fitting.start()
        self._regressing.settled.wait(self._patience)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._stale.set()
        self._loaded.set()
        self._thread.join()
        self._fitting.join()

    @property
    def behaviour(self) -> Behaviour:
        """What people did; nothing while it is being read."""
        return self._behaviour

    @property
    def revision(self) -> int:
        """The revision up to which persons are known."""
        return self._revision

    @property
    def is_complete(self) -> bool:
        """Whether all that people did is held."""
        return self._complete

    def follow(self) -> None:
        """Take in what the store recorded; return when it counts."""
        with self._following:
            self._follow()

    def _follow(self) -> None:
        activity = self._store.activity.since(self._revision)
        self.people.take_in(activity)
        if activity.expired:
            self._stale.set()
        if self._complete:
            _take_in(self._behaviour, activity, activity.revision)
        self._revision = activity.revision

    def _fit(self) -> None:
        self._loaded.wait()
        self._regressing.run(lambda: self._behaviour)

    def _load(self) -> None:
        COMPLETE.set(0)
        while not self._stopped.is_set():
            self._stale.clear()
            started = time.monotonic()
            try:
                self._read(started)
            except Exception:
                # Answers without it are worse, but they are answers.
                logger.exception("behaviour not loaded retry_seconds=%d", RETRY_SECONDS)
                self._stopped.wait(RETRY_SECONDS)
            else:
                self._stopped.wait((time.monotonic() - started) / SHARE)
                self._stale.wait()

    def _read(self, started: float) -> None:
        with self._store.activity.opinions() as (held, parts):
            wanted = takewhile(lambda _: not self._stopped.is_set(), parts)
            behaviour = Behaviour.of(wanted, self._store.person_hash)
        if self._stopped.is_set():
            return
        with self._following:
            self._follow()
            _take_in(behaviour, self._store.activity.since(held), self._revision)
            self._behaviour, self._complete = behaviour, True
        self._loaded.set()
        COMPLETE.set(1)
        items, seconds = len(behaviour.ids), time.monotonic() - started
        logger.info("behaviour loaded items=%d seconds=%.1f", items, seconds)


def _take_in(behaviour: Behaviour, activity: Activity, until: int) -> None:
    for person, revision in activity.forgotten:
        if revision <= until:
            behaviour.forget(person)
    for person, revision, past in activity.deeds:
        if revision <= until:
            if past.value > 0:
                behaviour.like(person, past.item_id)
            elif past.value < 0:
                behaviour.unlike(person, past.item_id)
