"""The two ends of a move: stores, opened although they may be sealed."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from longtail.runtime.errors import FailedPrecondition
from longtail.server.store.database import Database
from longtail.server.store.sqlite.opening import open_database

SQLITE = "sqlite:"
POSTGRESQL = ("postgresql://", "postgres://")


@contextmanager
def opened(place: str, *, make: bool) -> Iterator[Database]:
    """Open the store at `place`, brought to the newest schema; made, if `make` is said.

    Raises FailedPrecondition where there is none, and what opening a store raises.
    """
    with closing(_open(place, make=make)) as database:
        yield database


def _open(place: str, *, make: bool) -> Database:
    if place.startswith(SQLITE):
        path = Path(place.removeprefix(SQLITE))
        if not make and not path.is_file():
            raise FailedPrecondition(f"{path}: there is no store")
        return open_database(path, sealed=True)
    if place.startswith(POSTGRESQL):
        # Who has files needs no driver of a server.
        try:
            from longtail.server.store.postgresql.opening import open_shared_database
        except ModuleNotFoundError as error:
            raise FailedPrecondition(
                f"there is no {error.name}: install longtail-server[postgresql]"
            ) from None

        return open_shared_database(place, sealed=True, make=make)
    # It may hold a password.
    raise FailedPrecondition("a store is sqlite:FILE, or postgresql://USER@HOST/DATABASE")
