"""The head in its file, brought into service, and again when the file or the encoder changes."""

import asyncio
import logging
from pathlib import Path

from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.process.audit import Audit
from longtail.server.process.part import Part
from longtail.server.ranking.head.head import Head, HeadError, read_head
from longtail.server.upkeep.file_mark import Mark, mark_of
from prometheus_client import Info

logger = logging.getLogger(__name__)

PERIOD_SECONDS = 1.0

METRIC = Info("longtail_head", "The head that is in service, or about to be.")


class HeadWatch:
    """Has a catalogue served with the head in the file `path`, none while there is no file."""

    def __init__(self, path: Path, view: CatalogueReplica) -> None:
        self._path = path
        self._view = view
        self._mark: Mark = None
        self._read: Head | None = None
        METRIC.info({"version": ""})

    @property
    def head(self) -> Head | None:
        """The head of the catalogue's encoder; None where the file has none of it."""
        encoder = self._view.state.encoder.binding
        head = self._read
        fits = head is not None and (head.encoder, head.dimension) == (
            encoder.model_id,
            encoder.dimension,
        )
        return head if fits else None

    def refresh(self) -> None:
        """Serve with what the file holds now; with what it held before when it is of no use."""
        mark = mark_of(self._path)
        if mark != self._mark:
            try:
                self._read = None if mark is None else read_head(self._path)
            except HeadError as error:
                # A file that is of no use is told of once.
                logger.error("head not changed: %s", error)
            self._mark = mark
        head, present = self.head, self._view.head
        if (present and present.version) != (head and head.version):
            self._view.adapt(head)
            METRIC.info({"version": head.version if head is not None else ""})
            logger.info("head version=%s", head and head.version)


async def watch_head(watch: HeadWatch, part: Part, audit: Audit) -> None:
    """Keep the head as its file says, until cancelled; `part` tells of failures."""
    head = watch.head
    while True:
        await asyncio.sleep(PERIOD_SECONDS)
        with part:
            await asyncio.to_thread(watch.refresh)
            if watch.head is not head:
                head = watch.head
                audit.tell("head changed", version=head.version if head is not None else "")
