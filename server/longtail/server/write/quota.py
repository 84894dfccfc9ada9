"""What the key of a caller may have in the store: a write that goes beyond it is undone."""

from collections.abc import Callable
from typing import TypeVar

from longtail.runtime.errors import QuotaExceeded
from longtail.runtime.identity import Limits, current_caller
from longtail.server.store.transaction import Transaction
from longtail.server.store.usage import move_usage, usage_of

R = TypeVar("R")


class Quota:
    """The limits of the key `name`; a name that is empty is of who needs no key."""

    def __init__(self, name: str = "", limits: Limits | None = None) -> None:
        self.name = name
        self._limits = limits or Limits()

    @classmethod
    def current(cls) -> "Quota":
        """Return that of whoever calls in this task."""
        try:
            caller = current_caller()
        except LookupError:
            return cls()
        if not caller.has_key:
            return cls()
        allowance = caller.allowance
        return cls(caller.name, None if allowance is None else allowance.limits)

    def count_events(self, tx: Transaction, recorded: int) -> None:
        """Take in that a write recorded so many interactions or impressions."""
        move_usage(tx, self.name, events=recorded)

    def within(self, write: Callable[[Transaction], R], tx: Transaction) -> R:
        """Do a write. Raises QuotaExceeded when it adds to what is beyond a limit then."""
        most_items, most_events = self._limits.items, self._limits.events
        if most_items is None and most_events is None:
            return write(tx)
        before = usage_of(tx, self.name)
        written = write(tx)
        after = usage_of(tx, self.name)
        _check(most_items, before.items, after.items, "items in the catalogue")
        _check(most_events, before.events, after.events, "interactions and impressions a day (UTC)")
        return written


def _check(limit: int | None, before: int, after: int, what: str) -> None:
    if limit is not None and after > max(limit, before):
        raise QuotaExceeded(
            f"this key may have {limit:,} {what}: {max(0, limit - before):,} are left, and this "
            f"would be {after - before:,} more; nothing of it was kept"
        )
