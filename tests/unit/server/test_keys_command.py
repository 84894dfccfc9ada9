"""`longtail-keys`: a key is shown once, and kept as a hash."""

from contextlib import closing
from pathlib import Path

import pytest
from longtail.runtime.identity import Limits, Role
from longtail.runtime.keys import hashed, read_keys
from longtail.server import keys
from longtail.server.store.record_store import DATABASE, RecordStore
from longtail.server.store.usage import move_usage

from tests.postgresql import PASSWORD


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LONGTAIL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LONGTAIL_SERVER_KEYS", raising=False)
    return tmp_path / "home"


def test_a_key_is_made_listed_and_revoked(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert keys.main(["add", "shop", "--role", "write", "--rate", "50", "--batch", "9"]) == 0
    secret = capsys.readouterr().out.strip()
    (kept,) = read_keys(home / "keys.json")
    assert (kept.name, kept.role, kept.limits) == ("shop", Role.WRITE, Limits(rate=50, batch=9))
    assert kept.sha256 == hashed(secret)
    assert keys.main(["add", "site", "--role", "read"]) == 0
    capsys.readouterr()

    assert keys.main(["list"]) == 0
    shown = capsys.readouterr().out
    assert [line.partition(" created=")[0] for line in shown.splitlines()] == [
        "shop role=write",
        "site role=read",
    ]
    assert "rate=50 batch=9" in shown
    assert secret not in shown
    assert kept.sha256 not in shown

    assert keys.main(["revoke", "shop"]) == 0
    assert keys.main(["revoke", "site"]) == 0
    assert read_keys(home / "keys.json") == ()


def test_what_a_key_may_store_and_has_stored_is_listed(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = ["--items", "1000", "--events", "2000000"]
    assert keys.main(["add", "shop", "--role", "write", *limits]) == 0
    (kept,) = read_keys(home / "keys.json")
    assert kept.limits == Limits(items=1000, events=2_000_000)
    # There is no store yet.
    assert keys.main(["list"]) == 0
    assert "items=1000 events=2000000 has_items=0 events_today=0" in capsys.readouterr().out
    with (
        closing(RecordStore.open(home / "data" / DATABASE)) as store,
        store.group_commit(lambda: None, 8) as commit,
    ):
        commit.submit(lambda tx: move_usage(tx, "shop", items=3, events=5)).result()
        # It is listed while the server runs.
        assert keys.main(["list"]) == 0
    assert "has_items=3 events_today=5" in capsys.readouterr().out


def test_what_is_in_a_store_that_machines_share_is_listed(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LONGTAIL_STORE", postgresql_url)
    assert keys.main(["add", "shop", "--role", "write"]) == 0
    assert keys.main(["list"]) == 0
    assert "has_items=0" in capsys.readouterr().out
    with (
        closing(RecordStore.open(postgresql_url)) as store,
        store.group_commit(lambda: None, 8) as commit,
    ):
        commit.submit(lambda tx: move_usage(tx, "shop", items=3, events=5)).result()
        assert keys.main(["list"]) == 0
    assert "has_items=3 events_today=5" in capsys.readouterr().out
    monkeypatch.setenv("LONGTAIL_STORE", f"{postgresql_url}-nowhere")
    assert keys.main(["list"]) == 1
    told = capsys.readouterr().err
    assert "does not exist" in told
    assert PASSWORD not in told


def test_a_name_that_is_taken_and_one_that_is_unknown_are_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert keys.main(["add", "shop", "--role", "read"]) == 0
    assert keys.main(["add", "shop", "--role", "admin"]) == 1
    assert keys.main(["revoke", "site"]) == 1
    assert "there is no key 'site'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", "two words", "a\nb", "x" * 101])
def test_a_name_is_a_word_of_a_log_line(name: str) -> None:
    with pytest.raises(SystemExit):
        keys.main(["add", name, "--role", "read"])
