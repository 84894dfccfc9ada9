"""What people did, in memory: a view that follows the store, as that of the catalogue does.

It is read whole at start, in a thread of its own: until that is done answers come without what
people did. From then on it takes in each write before that is acknowledged.
"""

import logging
import threading
import time
from types import TracebackType
from typing import Self

from longtail.server.ranking.behaviour import Behaviour
from longtail.server.store.record_store import RecordStore

logger = logging.getLogger(__name__)

# A start waits so long for what people did: a small store is read in that time.
PATIENCE_SECONDS = 2.0
# Opinions after which a load looks whether it is to end.
LOOK_AROUND = 10_000


class BehaviourView:
    """Who liked what, kept up to date while the block lasts. Take `behaviour` once per request."""

    def __init__(self, store: RecordStore, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._store = store
        self._patience = patience_seconds
        self._following = threading.Lock()
        self._stopped = threading.Event()
        self._behaviour = Behaviour()
        # None until everything up to a revision is held.
        self._revision: int | None = None
        self._thread = threading.Thread(target=self._load, name="behaviour", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._thread.join(self._patience)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._thread.join()

    @property
    def behaviour(self) -> Behaviour:
        """What people did; nothing while it is being read."""
        return self._behaviour

    @property
    def is_complete(self) -> bool:
        """Whether all that people did is held."""
        return self._revision is not None

    def follow(self) -> None:
        """Take in what the store recorded; return when it counts. Nothing before it is read."""
        if self._revision is None:
            return
        with self._following:
            until = self._store.changes.position().revision
            if until > self._revision:
                self._take_in(self._behaviour, self._revision, until)
                self._revision = until

    def _load(self) -> None:
        started = time.monotonic()
        behaviour = Behaviour()
        until = self._store.changes.position().revision
        try:
            count = self._take_in(behaviour, 0, until)
        except Exception:
            # Answers without it are worse, but they are answers.
            logger.exception("behaviour not loaded")
            return
        if self._stopped.is_set():
            return
        with self._following:
            self._behaviour, self._revision = behaviour, until
        self.follow()
        logger.info(
            "behaviour loaded opinions=%d items=%d seconds=%.1f",
            count,
            len(behaviour.ids),
            time.monotonic() - started,
        )

    def _take_in(self, behaviour: Behaviour, after: int, until: int) -> int:
        """Take in the opinions of the revisions after .. until; return how many, or stop early."""
        count = 0
        for count, opinion in enumerate(self._store.opinions.changes(after, until), 1):
            if opinion.item_id is None:
                behaviour.forget(opinion.person)
            elif opinion.value > 0:
                behaviour.like(opinion.person, opinion.item_id)
            else:
                behaviour.unlike(opinion.person, opinion.item_id)
            if count % LOOK_AROUND == 0 and self._stopped.is_set():
                break
        return count
