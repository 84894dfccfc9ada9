import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from longtail.server.process.private import keep_private


@pytest.fixture(autouse=True)
def wide() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    found = [folder, *folder.rglob("*")]
    return {path.name: stat.S_IMODE(path.lstat().st_mode) for path in found}


def test_what_was_there_and_what_comes_is_the_owners_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "snapshots").mkdir(parents=True)
    (data / "snapshots" / "longtail.db").touch()
    (data / "longtail.db").touch()
    assert modes(data)["longtail.db"] == 0o666
    keep_private(data)
    (data / "index").mkdir()
    (data / "index" / "rows.npy").touch()
    assert modes(data) == {
        "data": 0o700,
        "snapshots": 0o700,
        "longtail.db": 0o600,
        "index": 0o700,
        "rows.npy": 0o600,
    }


def test_a_new_folder_is_the_owners_alone(tmp_path: Path) -> None:
    keep_private(tmp_path / "home" / "data")
    assert modes(tmp_path / "home")["data"] == 0o700


def test_what_a_link_leads_to_is_left(tmp_path: Path) -> None:
    data, outside = tmp_path / "data", tmp_path / "outside"
    data.mkdir()
    outside.touch()
    (data / "link").symlink_to(outside)
    (data / "nowhere").symlink_to(tmp_path / "nowhere")
    keep_private(data)
    assert stat.S_IMODE(outside.stat().st_mode) == 0o666


def test_what_belongs_to_somebody_else_is_told_and_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(self: Path, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refuse)
    (tmp_path / "file").touch()
    keep_private(tmp_path)
    assert f"others can read path={tmp_path / 'file'} mode=666" in caplog.text
