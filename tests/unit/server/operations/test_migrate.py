"""The command that moves a store: what it says, what it refuses, and that a kill takes nothing."""

import io
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from longtail.server.operations.migrate import main
from longtail.server.operations.move_progress import MoveProgress
from longtail.server.store.database import Database
from longtail.server.store.moving.copying import TableCopy
from longtail.server.store.moving.ends import opened
from longtail.server.store.record_store import RecordStore

from tests import processes
from tests.postgresql import PASSWORD
from tests.unit.server.store.invented_store import contents, fill

ROWS = 12
# A move that is killed when it has copied some rows of a table.
KILLED = """
import os, signal, sys
from longtail.server.operations import migrate, move_progress

told = move_progress.MoveProgress.__call__

def tell(self, done):
    told(self, done)
    if done.table == "attribute_names" and done.rows > 20:
        os.kill(os.getpid(), signal.SIGKILL)

move_progress.MoveProgress.__call__ = tell
migrate.main(sys.argv[1:])
"""


def held(place: str) -> dict[str, list[str]]:
    with opened(place, make=False) as database, database.engine.connect() as connection:
        return contents(connection)


@pytest.fixture
def source(tmp_path: Path) -> str:
    place = f"sqlite:{tmp_path}/source.db"
    with opened(place, make=True) as database:
        fill_with(database, ROWS)
    return place


def fill_with(database: Database, rows: int) -> None:
    with database.writing.begin() as connection:
        fill(connection, rows)


def test_a_store_is_copied_and_then_moved(
    source: str, postgresql_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = held(source)
    command = ["--from", source, "--to", postgresql_url, "--batch", "5"]
    assert main(command) == 0
    said = capsys.readouterr()
    assert "pass 1: " in said.out
    assert "nothing serves it before it is given --switch" in said.out
    assert main([*command, "--switch"]) == 0
    said_then = capsys.readouterr()
    assert "pass 1: " in said_then.out
    assert "0 written, 0 deleted" in said_then.out
    assert re.search(rf"^interactions +{ROWS} rows  [0-9a-f]{{64}}$", said_then.out, re.MULTILINE)
    assert "moved: start servers on postgresql://127.0.0.1:" in said_then.out
    # The same sums as from the other side, and no password anywhere.
    assert main(["--from", postgresql_url, "--to", source, "--switch"]) == 0
    back = capsys.readouterr()
    for each in (said, said_then, back):
        assert PASSWORD not in each.out + each.err
    sums = [
        [line for line in each.out.splitlines() if " rows  " in line] for each in (said_then, back)
    ]
    assert sums[0] == sums[1] != []
    assert held(source) == before
    RecordStore.open(Path(source.removeprefix("sqlite:"))).close()


@pytest.mark.parametrize(
    ("source_place", "target_place", "problem"),
    [
        ("sqlite:{tmp}/none.db", "sqlite:{tmp}/b.db", "there is no store"),
        ("sqlite:{tmp}/source.db", "mysql://user:secret@host/x", "a store is sqlite:FILE"),
        ("sqlite:{tmp}/source.db", "postgresql://u:secret@127.0.0.1:1/x", "cannot be reached"),
        ("sqlite:{tmp}/source.db", "sqlite:{tmp}/source.db", "is both of them"),
        ("{postgresql}", "sqlite:{tmp}/b.db", "there is no store"),
    ],
)
def test_what_cannot_be_moved_is_told_in_a_line_without_a_password(
    source: str,
    source_place: str,
    target_place: str,
    problem: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = {"tmp": str(tmp_path), "postgresql": ""}
    if "{postgresql}" in source_place:
        names["postgresql"] = request.getfixturevalue("postgresql_url")
    places = [place.format(**names) for place in (source_place, target_place)]
    assert main(["--from", places[0], "--to", places[1]]) == 1
    said = capsys.readouterr().err
    assert said.startswith("migrate: ")
    assert problem in said
    assert said.count("\n") == 1
    assert "secret" not in said


def test_a_pass_that_takes_longer_than_writers_may_wait_is_no_switch(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patched:
        patched.setattr("longtail.server.operations.move_progress.MoveProgress.seconds", 61.0)
        assert main(["--from", source, "--to", f"sqlite:{tmp_path}/b.db", "--switch"]) == 1
    assert "the last pass took 61 s" in capsys.readouterr().err
    RecordStore.open(Path(source.removeprefix("sqlite:"))).close()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("out", "begin", "end"), [(io.StringIO(), "", "\n"), (Terminal(), "\r", "\033[K")]
)
def test_progress_tells_the_rate_and_what_is_left(
    out: io.StringIO, begin: str, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([100.0, 100.1, 120.0, 120.1])
    monkeypatch.setattr(
        "longtail.server.operations.move_progress.time.monotonic", lambda: next(clock)
    )
    with MoveProgress("pass 1", {"items": 100, "vectors": 300}, out) as progress:
        for rows in (1, 100, 101):
            progress(TableCopy("items", rows))
    said = "pass 1: 100 of 400 rows, items, 5 rows/s, about 60 s left"
    assert out.getvalue() == f"{begin}{said}{end}" + "\r\033[K" * bool(begin)


def test_a_move_that_is_killed_goes_on(tmp_path: Path) -> None:
    source, target = f"sqlite:{tmp_path}/source.db", tmp_path / "target.db"
    with opened(source, make=True) as database:
        fill_with(database, 400)
    command = ["--from", source, "--to", f"sqlite:{target}", "--batch", "1"]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *command],
        env=processes.environment(tmp_path),
        check=False,
        timeout=processes.PATIENCE_SECONDS,
    )
    assert killed.returncode == -signal.SIGKILL
    assert 0 < rows(target) < rows(tmp_path / "source.db")
    assert main(["--from", source, "--to", f"sqlite:{target}", "--switch"]) == 0
    assert held(f"sqlite:{target}") == held(source)
    RecordStore.open(target).close()


def rows(path: Path) -> int:
    """Return how many rows of one table there are."""
    with closing(sqlite3.connect(path, timeout=10)) as connection:
        return int(connection.execute("SELECT count(*) FROM attribute_names").fetchone()[0])
