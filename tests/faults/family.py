"""Several server processes on one store, seen from outside."""

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from longtail.client import LongtailClient, LongtailError
from longtail.server.catalogue.indexer import LOCK_FILE

from tests import processes
from tests.faults.filled import SETTINGS
from tests.faults.stores import wait_for

COUNT = 3
# Connections that are opened, at most, to have one to every process.
ATTEMPTS = 100
STARTED = re.compile(r"started process=(\d+) pid=(\d+)")


@dataclass(frozen=True)
class Family:
    """A parent with COUNT serving processes on the store under `home`."""

    home: Path
    running: processes.Running

    @property
    def pids(self) -> list[int]:
        """The serving processes, in order of their places."""
        found = dict(STARTED.findall(self.running.log.read_text()))
        return [int(found[str(place)]) for place in range(len(found))]

    @property
    def owner(self) -> int | None:
        """The process that builds the index; None while there is none."""
        inode = (self.home / "data" / "index" / LOCK_FILE).stat().st_ino
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            if "->" not in fields and fields[5].endswith(f":{inode}"):
                return int(fields[4])
        return None

    def is_whole(self) -> bool:
        """Return whether every process answers."""
        try:
            with self.connected():
                return True
        except LookupError:
            return False

    @contextmanager
    def connected(self) -> Iterator[list[LongtailClient]]:
        """Give a client of every process; LookupError when some cannot be found."""
        with ExitStack() as opened:
            found: dict[str, LongtailClient] = {}
            for _ in range(ATTEMPTS):
                if len(found) == COUNT:
                    break
                client = LongtailClient(self.running.address)
                opened.callback(client.close)
                found.setdefault(process_of(client), client)
            else:
                raise LookupError(f"{len(found)} of {COUNT} processes answer")
            yield list(found.values())


def process_of(client: LongtailClient) -> str:
    """Return what tells the process that answers from the others; nothing while it is away."""
    try:
        return client.server_info().start_time.ToJsonString()
    except LongtailError as error:
        if error.code.name != "UNAVAILABLE":
            raise
        return ""


@contextmanager
def family(home: Path, worker_address: str) -> Iterator[Family]:
    """Run a server of COUNT processes until the block ends."""
    with processes.server(home, worker_address, "--processes", str(COUNT), **SETTINGS) as running:
        whole = Family(home, running)
        wait_for(whole.is_whole)
        # One that ends before the parent knows that it listens has failed to start.
        wait_for(lambda: running.log.read_text().count("listens process=") == COUNT)
        yield whole


def is_alive(pid: int) -> bool:
    """Return whether a process that is not ours runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
