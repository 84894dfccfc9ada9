"""How PostgreSQL is connected to: bounded in time, so that a cut network keeps nobody waiting."""

from typing import Any

import psycopg
from longtail.runtime.errors import FailedPrecondition
from psycopg.conninfo import conninfo_to_dict

# What a URL may say otherwise, in libpq's terms. A machine that does not answer, or no longer
# acknowledges, is given up after so long; of one that is cut off the server gives up the locks
# later, when it has stopped by itself.
DEFAULTS: dict[str, Any] = {
    "application_name": "longtail",
    "connect_timeout": 3,
    "keepalives_idle": 3,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 5000,
}
LOCK_SECONDS = 10
ABANDONED_SECONDS = 15
UNREADABLE = (
    "the store's URL cannot be read: postgresql://user:password@host:port/database, "
    "with percent-encoding where a part has other characters"
)
SESSION = {
    "lock_timeout": f"{LOCK_SECONDS}s",
    "idle_in_transaction_session_timeout": f"{ABANDONED_SECONDS}s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10000",
    "timezone": "UTC",
}


class Address:
    """Where a database is found, from its URL, which may have several hosts and libpq's options.

    `name` has no password. Raises FailedPrecondition, without it, for what is no such URL.
    """

    def __init__(self, url: str) -> None:
        try:
            given = conninfo_to_dict(url)
        except psycopg.ProgrammingError:
            # What it says of it may be the password.
            raise FailedPrecondition(UNREADABLE) from None
        # libpq takes a password with an @ or a / that is not encoded for a part of the place.
        if any("@" in str(given.get(part, "")) for part in ("host", "port", "dbname")):
            raise FailedPrecondition(UNREADABLE)
        host, port = given.get("host", ""), given.get("port", "")
        place = f"{host}:{port}" if port else str(host)
        self.name = f"postgresql://{place}/{given.get('dbname', '')}"
        options = " ".join(f"-c {name}={value}" for name, value in SESSION.items())
        # What the URL says comes last, and counts.
        self.parameters = {
            **DEFAULTS,
            **given,
            "options": f"{options} {given.get('options', '')}".strip(),
        }

    def connect(self, *, autocommit: bool = False) -> "psycopg.Connection[Any]":
        """Return a new connection. Raises psycopg.Error."""
        return psycopg.connect(**self.parameters, autocommit=autocommit)
