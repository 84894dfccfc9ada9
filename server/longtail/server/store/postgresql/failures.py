"""What PostgreSQL and its driver raise when it is away, full, locked or takes no writes.

It is told as that, and without what was written or asked: SQLAlchemy hides the parameters, and of
what the server says only its message is taken, which names no values.
"""

import logging
import time

import psycopg
from longtail.runtime.errors import FailedPrecondition, ServiceError, StorageFull, Unavailable
from longtail.server.store.failures import FAILURES
from longtail.server.store.seal import FENCE_SQLSTATE, FENCED
from sqlalchemy import ExceptionContext

logger = logging.getLogger(__name__)

# A restart takes so long; another machine takes over in some more.
RETRY_SECONDS = 1.0

# Classes of SQLSTATE, and single ones: https://www.postgresql.org/docs/current/errcodes-appendix.html
FULL = ("53100",)
LOCKED = ("55P03", "57014", "40001", "40P01")
STANDBY = ("25006",)
CROWDED = ("53",)
AWAY = ("08", "57P")
VALUES = "22"
# One that lasts is logged so often.
LOG_SECONDS = 10.0

_last: dict[str, float] = {}


class StoreAway(Unavailable):
    """The database cannot be reached, or does not take what it is given now."""


def tell(context: ExceptionContext) -> None:
    """Raise what `plain` makes of what the driver raised: for `handle_error`."""
    error = context.original_exception
    # The pool asks whether a connection is still good, and has another one if not.
    if not isinstance(error, psycopg.Error) or context.is_pre_ping:
        return
    if (told := plain(error)) is not None:
        raise told from error
    # What follows the message, and that of a value that is none, are the values themselves.
    is_value = (error.sqlstate or "").startswith(VALUES)
    message = type(error).__name__ if is_value else _message(error)
    error.args = (message,)
    if context.sqlalchemy_exception is not None:
        context.sqlalchemy_exception.args = (message,)


def plain(error: psycopg.Error) -> ServiceError | None:
    """Return what to raise in place of an error; None where it is nobody's outage but a fault."""
    state = error.sqlstate
    if state is None:
        # What the driver finds out by itself: there is no connection, or it is gone. Where that
        # was while a transaction ended, nobody knows whether it was kept.
        if isinstance(error, psycopg.OperationalError):
            return _away("away", "the database cannot be reached", error)
        return None
    if state == FENCE_SQLSTATE:
        return FailedPrecondition(FENCED)
    if state.startswith(FULL):
        FAILURES.labels("full").inc()
        logger.error("disk of the database full error=%s", _message(error))
        return StorageFull("the disk of the database is full: nothing of this write was kept")
    if state.startswith(LOCKED):
        why = "another server keeps the database locked: nothing of this write was kept"
        return _away("locked", why, error)
    if state.startswith(STANDBY):
        return _away("standby", "the database takes no writes now: it is a standby", error)
    if state.startswith(CROWDED):
        return _away("crowded", "the database takes no more connections now", error)
    if state.startswith(AWAY):
        return _away("away", "the database cannot be reached", error)
    return None


def _away(why: str, message: str, error: psycopg.Error) -> Unavailable:
    FAILURES.labels(why).inc()
    moment = time.monotonic()
    if moment - _last.get(why, -LOG_SECONDS) >= LOG_SECONDS:
        _last[why] = moment
        logger.warning("database failed why=%s error=%s", why, _message(error))
    return StoreAway(message, retry_seconds=RETRY_SECONDS)


def _message(error: psycopg.Error) -> str:
    # In one line; the details, which may hold values, are not in it.
    said = error.diag.message_primary or str(error)
    return " ".join(said.split())
