"""The time, as the store writes it."""

import time

from longtail.server.store.transaction import Transaction
from sqlalchemy import Column, update


def now() -> int:
    """Return the microseconds since the epoch, UTC."""
    return time.time_ns() // 1000


def bring_back(tx: Transaction, column: Column[int]) -> None:
    """Take times of `column` that are still to come as now.

    They were written before the clock was set back, and would outlive every deadline.
    """
    moment = now()
    tx.execute(update(column.table).where(column > moment).values({column.name: moment}))
