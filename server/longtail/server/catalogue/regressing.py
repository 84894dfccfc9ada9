"""Keeps a regression on what people liked beside serving, fitted anew when enough has happened."""

import logging
import threading
import time
from collections.abc import Callable

from longtail.server.catalogue.pace import Pace
from longtail.server.ranking.behaviour import Behaviour
from longtail.server.ranking.regression import Stopped, fit
from prometheus_client import Gauge, Info

logger = logging.getLogger(__name__)

VERSION = Info("longtail_behaviour_regression", "The regression on what people liked.")
FIT_SECONDS = Gauge("longtail_behaviour_fit_seconds", "Seconds of work of the latest regression.")

# It is fitted anew when so large a share of all likes has changed, or anything has for a day; not
# before a multiple of what the last fit took has passed, nor a minute.
CHANGED_SHARE, DAY_SECONDS = 0.02, 86_400.0
REST, LEAST_REST_SECONDS = 10.0, 60.0
# Between two looks at whether that is so.
LOOK_SECONDS = 10.0


class Regressing:
    """Fits regressions on what people liked, in the thread that calls, until it is told to stop.

    A fit that takes more than `most_seconds` of work is given up; 0: there is none. `settled` is
    set when the first has come to an end, whichever.
    """

    def __init__(self, stopped: threading.Event, most_seconds: float) -> None:
        self.settled = threading.Event()
        self._stopped = stopped
        self._pace = Pace("behaviour", stopped, most_seconds)

    def run(self, current: Callable[[], Behaviour]) -> None:
        """Fit to what people like, and anew whenever enough has happened, until told to stop."""
        try:
            while True:
                behaviour = current()
                taken_in, began = behaviour.taken_in, time.monotonic()
                self.fit(behaviour)
                self.settled.set()
                while current() is behaviour and not self._is_due(
                    behaviour, taken_in, time.monotonic() - began
                ):
                    if self._stopped.wait(LOOK_SECONDS):
                        return
        except Stopped:
            pass
        except Exception:
            # The cosine stands in for it.
            logger.exception("behaviour not fitted")
        finally:
            self.settled.set()

    def fit(self, behaviour: Behaviour) -> None:
        """Fit to what people like by now. Raises Stopped when there is no more time for it."""
        self._pace.begin()
        regression = fit(behaviour.likes(), len(behaviour.ids), self._pace.pause)
        behaviour.go_by(regression, self._pace.pause)
        VERSION.info({"version": regression.version})
        FIT_SECONDS.set(self._pace.worked)
        logger.info(
            "behaviour fitted version=%s weights=%d seconds=%.1f",
            regression.version,
            len(regression.weights),
            self._pace.worked,
        )

    def _is_due(self, behaviour: Behaviour, before: int, passed: float) -> bool:
        changed = behaviour.taken_in - before
        if not changed or passed < max(LEAST_REST_SECONDS, REST * self._pace.worked):
            return False
        return changed > CHANGED_SHARE * behaviour.like_count or passed > DAY_SECONDS
