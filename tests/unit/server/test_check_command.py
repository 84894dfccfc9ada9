"""`--check` of both programs: what would count, or what is wrong, without a start."""

import sys
from pathlib import Path

import pytest
from longtail.server.__main__ import main as server
from longtail.worker.__main__ import main as worker

from tests.documents import all_blocks


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of settings that the page on them shows; nothing is set otherwise."""
    (block,) = (block for block in all_blocks() if block.language == "toml")
    monkeypatch.setattr("os.environ", {})
    monkeypatch.chdir(tmp_path)
    path = tmp_path / block.name
    path.write_text(block.text)
    return path


def test_the_server_shows_what_would_count_and_makes_nothing(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert server(["--config", file.name, "--check", "--strength", "0.4", "--home", "here"]) == 0
    shown = [line.split("  # ") for line in capsys.readouterr().out.splitlines()]
    counting = {setting.strip(): place for setting, place in shown}
    assert counting['home = "here"'] == "--home"
    assert counting["strength = 0.4"] == "--strength"
    certificate = 'server_certificate = "/etc/longtail/server.pem"'
    assert counting[certificate] == "longtail.toml: server_certificate"
    assert counting["index_links = 16"] == "default"
    # The worker's is in the same file, and no setting of the server.
    assert not any("worker_slots" in setting for setting in counting)
    assert list(file.parent.iterdir()) == [file]


def test_the_worker_reads_the_same_file(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["longtail-worker", "--config", file.name, "--check"])
    assert worker() == 0
    assert "longtail.toml: worker_slots" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--strength", "2"], "--strength='2' is not in 0 to 1"),
        (["--server-address", "0.0.0.0:1"], "make a key with `longtail-keys add`"),
        (["--config", "none.toml"], "none.toml: No such file or directory"),
    ],
)
def test_what_would_end_the_start_ends_the_check_with_2(
    file: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.setenv("LONGTAIL_CONFIG", file.name)
    assert server(["--check", *arguments]) == 2
    told = capsys.readouterr()
    assert (said in told.err, told.out, len(told.err.splitlines())) == (True, "", 1)
