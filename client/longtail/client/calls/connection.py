"""The connection of a client, which is opened anew when the files of its access are replaced."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, NamedTuple, TypeVar

from longtail.client.calls.channel import Access, Metadata

logger = logging.getLogger(__name__)

# Of grpc or of grpc.aio.
Channel = TypeVar("Channel")

# A call finds out at most so often whether the files are those that were read.
LOOK_SECONDS = 1.0


class _Opened(NamedTuple, Generic[Channel]):
    channel: Channel
    metadata: Metadata


class Connection(Generic[Channel]):
    """The channel that calls go over now, and those that calls which began before are still on.

    `connect` opens one by what the files of `access` hold, `drop` closes one that no call is on.
    Files that do not fit each other yet, or are away, change nothing. Safe to share between
    threads. Raises OSError when a file cannot be read.
    """

    def __init__(
        self, access: Access, connect: Callable[[], Channel], drop: Callable[[Channel], None]
    ) -> None:
        self._access, self._connect, self._drop = access, connect, drop
        self._lock = threading.Lock()
        self._look_at = 0.0
        # Before the files are read, so that a change in between is seen.
        self._mark = access.mark()
        self._current = self._open()
        self._calls = {self._current: 0}

    @contextmanager
    def call(self) -> Iterator[tuple[Channel, Metadata]]:
        """Give the channel for a call and what the call carries; the channel stays for as long."""
        with self._lock:
            self._follow()
            mine = self._current
            self._calls[mine] += 1
        try:
            yield mine
        finally:
            with self._lock:
                self._calls[mine] -= 1
                self._drop_unused()

    def channels(self) -> list[Channel]:
        """Return all channels that are open."""
        return [each.channel for each in self._calls]

    def _open(self) -> _Opened[Channel]:
        metadata = self._access.metadata
        return _Opened(self._connect(), metadata)

    def _follow(self) -> None:
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        try:
            mark = self._access.mark()
            if mark == self._mark:
                return
            self._mark = mark
            self._access.check()
            self._current = self._open()
        except (OSError, ValueError) as error:
            logger.warning("access not changed: %s", error)
            return
        self._calls[self._current] = 0
        self._drop_unused()

    def _drop_unused(self) -> None:
        for each in [each for each, calls in self._calls.items() if not calls]:
            if each is not self._current:
                del self._calls[each]
                self._drop(each.channel)
