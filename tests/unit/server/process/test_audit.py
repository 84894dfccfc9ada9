import json
import logging
from contextlib import closing
from contextvars import copy_context
from pathlib import Path

import pytest
from longtail.runtime.identity import Caller, Role, set_caller
from longtail.server.process.audit import FILES, Audit


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "audit.jsonl").read_text().splitlines()]


def test_a_line_says_who_what_and_how_many(tmp_path: Path) -> None:
    with closing(Audit(tmp_path, None, 10**6)) as audit:
        audit.tell("items written", count=3)

        def called() -> None:
            set_caller(Caller("shop\n{}", Role.WRITE))
            audit.tell("items deleted", count=1)

        copy_context().run(called)
    first, second = lines(tmp_path)
    assert (first["caller"], first["action"], first["count"]) == ("server", "items written", 3)
    # A name makes no line of its own.
    assert second["caller"] == "shop\n{}"


def test_all_files_together_have_a_limit(tmp_path: Path) -> None:
    with closing(Audit(tmp_path, 1, 20_000)) as audit:
        for number in range(2000):
            audit.tell("items written", count=number)
    files = list(tmp_path.iterdir())
    assert len(files) == FILES
    assert sum(path.stat().st_size for path in files) <= 20_000
    assert json.loads((tmp_path / "audit-1.jsonl").read_text().splitlines()[-1])["count"] == 1999


def test_what_cannot_be_written_holds_nothing_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "audit").touch()
    with caplog.at_level(logging.ERROR), closing(Audit(tmp_path / "audit", None, 10**6)) as audit:
        audit.tell("items written", count=3)
    assert "audit not written" in caplog.text
