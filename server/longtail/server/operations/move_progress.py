"""How far a pass over a store has come: one line on a terminal, elsewhere one every ten seconds."""

import time
from collections.abc import Mapping
from typing import Self, TextIO

from longtail.server.store.moving.copying import TableCopy

TERMINAL_SECONDS, LOG_SECONDS = 0.2, 10.0


class MoveProgress:
    """Tells of one pass, a block; `counts` are the rows of each table before it."""

    def __init__(self, name: str, counts: Mapping[str, int], out: TextIO) -> None:
        self._name, self._out = name, out
        self._total = sum(counts.values())
        self._done: dict[str, int] = {}
        self._started = self._told = time.monotonic()
        self._rewritten = out.isatty()
        self._wait = TERMINAL_SECONDS if self._rewritten else LOG_SECONDS

    def __enter__(self) -> Self:
        return self

    @property
    def seconds(self) -> float:
        """Return how long the pass has taken."""
        return time.monotonic() - self._started

    def __call__(self, done: TableCopy) -> None:
        """Say how far it is, if that was not said just now."""
        self._done[done.table] = done.rows
        now = time.monotonic()
        if now - self._told < self._wait:
            return
        self._told = now
        rows, seconds = sum(self._done.values()), now - self._started
        # More may have come since they were counted.
        left = max(self._total - rows, 0) * seconds / max(rows, 1)
        line = (
            f"{self._name}: {rows:,} of {max(self._total, rows):,} rows, {done.table}, "
            f"{rows / seconds:,.0f} rows/s, about {left:.0f} s left"
        )
        self._out.write(f"\r{line}\033[K" if self._rewritten else f"{line}\n")
        self._out.flush()

    def __exit__(self, *_failure: object) -> None:
        # What is said next begins a line.
        if self._rewritten:
            self._out.write("\r\033[K")
            self._out.flush()
