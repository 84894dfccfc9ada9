"""Learns a head from what people like, beside serving, and anew when enough has happened.

Only the process that builds the index does: what it learns is in a file, which all of them follow.
"""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from longtail.server.catalogue.columns.columns import NO_ROW
from longtail.server.catalogue.pace import Pace
from longtail.server.catalogue.state import CatalogueState
from longtail.server.ranking.behaviour import Behaviour
from longtail.server.ranking.head.fitting import Material, NoHead, fit_head
from longtail.server.ranking.head.head import Head, write_head
from longtail.server.ranking.head.pairs import Likes
from longtail.server.ranking.regression import Stopped
from prometheus_client import Counter, Gauge

logger = logging.getLogger(__name__)

FITS = Counter("longtail_head_fits", "Heads that were learned, by what came of it.", ["outcome"])
FIT_SECONDS = Gauge("longtail_head_fit_seconds", "Seconds of work of the latest head.")

# It is learned anew when so large a share of all likes has come or gone, or any has for a day; not
# before a multiple of what the last one took has passed, nor a minute.
CHANGED_SHARE, DAY_SECONDS = 0.1, 86_400.0
REST, LEAST_REST_SECONDS = 10.0, 60.0
# Between two looks at whether that is so.
LOOK_SECONDS = 10.0
# Items and likes that are learned from, drawn evenly: they bound its memory, some 400 MB then.
ITEMS, LIKES = 50_000, 1_000_000


class HeadLearning:
    """Learns heads in the thread that calls, until it is told to stop.

    A head that takes more than `most_seconds` of work is given up; 0: none is learned. `in_use` is
    called for the head that serves, which the next one has to be better than.
    """

    def __init__(
        self,
        stopped: threading.Event,
        most_seconds: float,
        path: Path,
        state: Callable[[], CatalogueState],
        behaviour: Callable[[], Behaviour],
        in_use: Callable[[], Head | None],
    ) -> None:
        self._stopped = stopped
        self._most = most_seconds
        self._pace = Pace("head", stopped, most_seconds)
        self._path = path
        self._state = state
        self._behaviour = behaviour
        self._in_use = in_use

    def run(self) -> None:
        """Learn one, and another whenever enough has happened, until told to stop."""
        try:
            self._run()
        except Exception:
            # Answers go on by the head that there is.
            logger.exception("no more heads are learned")

    def _run(self) -> None:
        (tried, at, encoder), serves = self._known(), self._in_use() is not None
        while self._most and not self._stopped.wait(LOOK_SECONDS):
            now, had = self._behaviour().like_count, serves
            serves = self._in_use() is not None
            if self._state().encoder.binding.model_id != encoder or (had and not serves):
                tried, at, encoder = self._known()
            elif self._is_due(now - tried, tried, time.monotonic() - at):
                try:
                    self.fit()
                except Stopped:
                    FITS.labels("given up").inc()
                except Exception:
                    # Answers without it are worse, but they are answers.
                    FITS.labels("failed").inc()
                    logger.exception("head not learned")
                tried, at = now, time.monotonic()

    def fit(self) -> None:
        """Learn a head from what people like by now, and write it if it helps.

        Raises Stopped when there is no more time for it.
        """
        self._pace.begin()
        material = material_of(self._state(), self._behaviour())
        try:
            head = fit_head(material, self._pace.pause, current=self._in_use())
        except NoHead as none:
            FITS.labels("refused").inc()
            logger.info("head not taken: %s", none)
        else:
            write_head(head, self._path)
            FITS.labels("taken").inc()
            logger.info(
                "head learned version=%s gain=%.3f seconds=%.1f",
                head.version,
                head.facts["gain"],
                self._pace.worked,
            )
        FIT_SECONDS.set(self._pace.worked)

    def _known(self) -> tuple[int, float, str]:
        """Return the likes that the head in use was learned from, when that was, for us, and whose.

        What an earlier process learned is not learned again at once.
        """
        encoder, head = self._state().encoder.binding.model_id, self._in_use()
        if head is None:
            return 0, -np.inf, encoder
        return head.likes, time.monotonic(), encoder

    def _is_due(self, changed: int, before: int, passed: float) -> bool:
        if not changed or passed < max(LEAST_REST_SECONDS, REST * self._pace.worked):
            return False
        return abs(changed) > CHANGED_SHARE * before or passed > DAY_SECONDS


def material_of(state: CatalogueState, behaviour: Behaviour) -> Material:
    """Return what a head is learned from: at most ITEMS items, and the likes of so many people."""
    lists, ids = behaviour.likes(), list(behaviour.ids)
    rows = state.columns.rows_at(ids, state.revision)
    held = np.flatnonzero(rows != NO_ROW)
    held = held[:: max(1, -(-len(held) // ITEMS))]
    number = np.full(len(ids), NO_ROW, np.int32)
    number[held] = np.arange(len(held))

    total = sum(map(len, lists)) // number.itemsize
    likes = Likes.of(lists[:: max(1, -(-total // LIKES))], len(ids))
    # What was first liked since the ids were taken has no number here.
    known = likes.items < len(ids)
    known[known] = number[likes.items[known]] != NO_ROW
    likes = likes.where(known)
    return Material(
        state.encoder.binding.model_id,
        state.index.vectors(rows[held]),
        [ids[at] for at in held.tolist()],
        Likes(likes.people, number[likes.items], len(held)),
    )
