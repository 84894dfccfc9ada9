"""A part of the process that may fail without ending it: told, counted, and tried again.

What serving stands on is none: of that a failure ends the process, so that it is started anew.
"""

import logging
from collections.abc import Callable
from types import TracebackType

from prometheus_client import Counter

logger = logging.getLogger(__name__)

FAILURES = Counter(
    "longtail_part_failures_total",
    "Failures of parts of the process that are tried again.",
    ["part"],
)


def _nobody(_well: bool) -> None:
    pass


class Part:
    """The part `name`. Each of its attempts is a block, which ends without its failure.

    `report` is told, in the thread of the attempt, when it fails and when it is well again; before
    the first attempt it is well.
    """

    def __init__(self, name: str, report: Callable[[bool], None] = _nobody) -> None:
        self.name = name
        self._report = report
        self._failure = ""

    @property
    def well(self) -> bool:
        """Whether the last attempt succeeded."""
        return not self._failure

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if error is None:
            if self._failure:
                self._failure = ""
                logger.info("works again part=%s", self.name)
                self._report(True)
            return False
        # A cancellation is for whoever runs the part.
        if not isinstance(error, Exception):
            return False
        FAILURES.labels(self.name).inc()
        failure = f"{type(error).__name__}: {error}"
        if failure != self._failure:
            # An attempt that fails as the one before is only counted.
            logger.error("failed, tried again later part=%s", self.name, exc_info=error)
        if not self._failure:
            self._report(False)
        self._failure = failure
        return True
