"""The ranking profile that answers go by, read again whenever its files change."""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

from longtail.server.process.audit import Audit
from longtail.server.process.part import Part
from longtail.server.ranking.expected_exposure import exposure_path, read_exposure
from longtail.server.ranking.profile import (
    ProfileError,
    RankingProfile,
    default_profile,
    read_profile,
)
from longtail.server.upkeep.file_mark import Mark, mark_of
from prometheus_client import Info

logger = logging.getLogger(__name__)

PERIOD_SECONDS = 1.0

METRIC = Info("longtail_ranking_profile", "The ranking profile that answers go by.")


class ProfileWatch:
    """The profile in the file `path`, or the default one while there is no file.

    `expected` is how often its lists are expected to show each item, by id: see `read_exposure`. It
    is empty, as with the default profile, where that is not known. Raises ProfileError when a file
    is of no use.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._marks = self._look()
        self._refused = ""
        self.profile: RankingProfile
        self.expected: Mapping[str, float]
        self._go_by(*self._read(self._marks))

    def refresh(self) -> None:
        """Go by what the files hold now; by what they held before while one is of no use.

        Raises ProfileError then, each time.
        """
        marks = self._look()
        if marks != self._marks:
            self._refused = ""
            try:
                self._go_by(*self._read(marks))
            except ProfileError as error:
                self._refused = f"version {self.profile.version} stays: {error}"
            # What another failure kept from being read is read the next time.
            self._marks = marks
        if self._refused:
            raise ProfileError(self._refused)

    def _look(self) -> tuple[Mark, Mark]:
        return mark_of(self._path), mark_of(exposure_path(self._path))

    def _read(self, marks: tuple[Mark, Mark]) -> tuple[RankingProfile, Mapping[str, float]]:
        if marks[0] is None:
            return default_profile(), {}
        profile, expected = read_profile(self._path), read_exposure(self._path)
        if not expected:
            # Whoever copied the profile alone would not miss it.
            logger.warning(
                "no exposure beside the ranking profile path=%s: copy it too, or prices of items "
                "start from what has been recorded alone",
                exposure_path(self._path),
            )
        return profile, expected

    def _go_by(self, profile: RankingProfile, expected: Mapping[str, float]) -> None:
        self.profile, self.expected = profile, expected
        METRIC.info({"version": profile.version})
        logger.info("ranking profile version=%s items=%d", profile.version, len(expected))


async def watch_profile(watch: ProfileWatch, part: Part, audit: Audit) -> None:
    """Keep a profile as its file says, until cancelled; `part` tells of failures."""
    version = watch.profile.version
    while True:
        await asyncio.sleep(PERIOD_SECONDS)
        with part:
            await asyncio.to_thread(watch.refresh)
            if watch.profile.version != version:
                version = watch.profile.version
                audit.tell("ranking profile changed", version=version)
