"""The ranking profile that answers go by, read again whenever its file changes."""

import asyncio
import logging
from pathlib import Path

from prometheus_client import Info

from server.ranking.profile import ProfileError, RankingProfile, default_profile, read_profile

logger = logging.getLogger(__name__)

PERIOD_SECONDS = 1.0

METRIC = Info("longtail_ranking_profile", "The ranking profile that answers go by.")

# What tells one content of a file from the next: inode, time of change, size. None: no file.
Mark = tuple[int, int, int] | None
# Reading says why.
UNREADABLE = (0, 0, 0)


class ProfileWatch:
    """The profile in the file `path`, or the default one while there is no file.

    Raises ProfileError when the file is of no use.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mark = self._look()
        self.profile: RankingProfile
        self._go_by(self._read())

    def refresh(self) -> None:
        """Go by what the file holds now; by what it held before when that is of no use."""
        mark = self._look()
        if mark == self._mark:
            return
        # A file that is of no use is told of once.
        self._mark = mark
        try:
            self._go_by(self._read())
        except ProfileError as error:
            logger.error("ranking profile not changed version=%s: %s", self.profile.version, error)

    def _look(self) -> Mark:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        except OSError:
            return UNREADABLE
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _read(self) -> RankingProfile:
        return default_profile() if self._mark is None else read_profile(self._path)

    def _go_by(self, profile: RankingProfile) -> None:
        self.profile = profile
        METRIC.info({"version": profile.version})
        logger.info("ranking profile version=%s", profile.version)


async def watch_profile(watch: ProfileWatch) -> None:
    """Keep a profile as its file says, until cancelled."""
    while True:
        await asyncio.sleep(PERIOD_SECONDS)
        await asyncio.to_thread(watch.refresh)
