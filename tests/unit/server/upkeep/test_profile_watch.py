import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from longtail.runtime.settings import load
from longtail.server.process.audit import Audit
from longtail.server.process.part import Part
from longtail.server.ranking.expected_exposure import exposure_path, write_exposure
from longtail.server.ranking.profile import (
    ProfileError,
    RankingProfile,
    default_profile,
    read_profile,
    write_profile,
)
from longtail.server.settings import Settings
from longtail.server.upkeep import profile_watch
from longtail.server.upkeep.profile_watch import ProfileWatch, watch_profile
from prometheus_client import REGISTRY

from tests.damages import check_refusals


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ranking-profile.json"


def write(path: Path, name: str) -> str:
    profile = replace(default_profile(), fit={"name": name})
    write_profile(profile, path)
    return profile.version


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 (a watch of files tells nobody)
        await asyncio.sleep(0.01)


def exported() -> list[str]:
    return [
        sample.labels["version"]
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name == "longtail_ranking_profile_info"
    ]


def test_without_a_file_the_defaults_hold(path: Path) -> None:
    assert ProfileWatch(path).profile.version == default_profile().version
    assert exported() == [default_profile().version]


def test_a_file_is_gone_by_and_its_version_is_told(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        version = write(path, "fitted")
        assert ProfileWatch(path).profile.version == version
    assert version in caplog.text
    assert exported() == [version]


def test_a_file_of_no_use_keeps_from_starting(path: Path) -> None:
    path.write_text("{")
    with pytest.raises(ProfileError, match=str(path)):
        ProfileWatch(path)


def test_a_file_that_cannot_be_read_keeps_from_starting(path: Path) -> None:
    path.write_text("")
    with pytest.raises(ProfileError):
        ProfileWatch(path / "below a file")
    path.unlink()
    path.mkdir()
    with pytest.raises(ProfileError):
        ProfileWatch(path)


def test_a_change_is_taken_over(path: Path) -> None:
    write(path, "first")
    watch = ProfileWatch(path)
    held = watch.profile
    watch.refresh()
    assert watch.profile is held
    version = write(path, "second")
    watch.refresh()
    assert watch.profile.version == version
    path.unlink()
    watch.refresh()
    assert watch.profile.version == default_profile().version


def test_a_damaged_change_fails_until_it_is_mended_and_changes_nothing(path: Path) -> None:
    version = write(path, "first")
    watch = ProfileWatch(path)
    path.write_text('{"format": 1}')
    for _ in range(2):
        with pytest.raises(ProfileError, match=f"version {version} stays: .*format is 1"):
            watch.refresh()
    assert watch.profile.version == version
    repaired = write(path, "repaired")
    watch.refresh()
    assert watch.profile.version == repaired


def test_a_change_of_the_same_size_is_seen(path: Path) -> None:
    write(path, "one")
    watch = ProfileWatch(path)
    # In place, and so far apart as clocks of file systems tell.
    document = path.read_text().replace('"one"', '"two"')
    path.write_text(document)
    os.utime(path, ns=(1, 1))
    watch.refresh()
    assert watch.profile.fit["name"] == "two"


def test_the_exposure_of_a_profile_comes_with_it(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert ProfileWatch(path).expected == {}
    # Without its profile it is of no use.
    write_exposure({"a": 0.5}, path)
    watch = ProfileWatch(path)
    assert watch.expected == {}
    version = write(path, "first")
    watch.refresh()
    assert watch.expected == {"a": 0.5}
    held = watch.expected
    watch.refresh()
    assert watch.expected is held
    write_exposure({"a": 0.5, "b": 1.5}, path)
    watch.refresh()
    assert watch.expected == {"a": 0.5, "b": 1.5}
    assert watch.profile.version == version
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]
    exposure_path(path).unlink()
    watch.refresh()
    assert watch.expected == {}
    assert watch.profile.version == version
    [warning] = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert str(exposure_path(path)) in warning.getMessage()


def test_damaged_exposure_keeps_from_starting(path: Path) -> None:
    write(path, "first")
    exposure_path(path).write_text("item_id,exposure\na,-1\n")
    with pytest.raises(ProfileError, match=f"{exposure_path(path)}: line 2"):
        ProfileWatch(path)


def test_damaged_exposure_changes_nothing(path: Path) -> None:
    version = write(path, "first")
    write_exposure({"a": 1.0}, path)
    watch = ProfileWatch(path)
    exposure_path(path).write_text("item_id,exposure\na\n")
    write(path, "second")
    for _ in range(2):
        with pytest.raises(ProfileError, match=f"{exposure_path(path)}: line 2"):
            watch.refresh()
    assert (watch.profile.version, watch.expected) == (version, {"a": 1.0})
    write_exposure({"a": 2.0}, path)
    watch.refresh()
    assert watch.expected == {"a": 2.0}
    assert watch.profile.version != version


async def test_the_file_is_looked_at_again_and_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profile_watch, "PERIOD_SECONDS", 0.01)
    watch = ProfileWatch(path)
    part, audit = Part("profile"), Audit(path.parent / "audit", None, 10**6)
    task = asyncio.create_task(watch_profile(watch, part, audit))
    version = write(path, "new")
    async with asyncio.timeout(60):
        await until(lambda: watch.profile.version == version)
        # While the file is of no use the part fails.
        whole = path.read_text()
        path.write_text(whole[:-9])
        await until(lambda: not part.well)
        path.write_text(whole)
        await until(lambda: part.well)
        # What else may go wrong is tried again, though the file stays as it is.
        failed = asyncio.Event()
        loop = asyncio.get_running_loop()

        def exhausted(_path: Path) -> RankingProfile:
            loop.call_soon_threadsafe(failed.set)
            raise MemoryError

        monkeypatch.setattr(profile_watch, "read_profile", exhausted)
        version = write(path, "newer")
        await failed.wait()
        monkeypatch.setattr(profile_watch, "read_profile", read_profile)
        await until(lambda: watch.profile.version == version)
    assert not task.done()
    task.cancel()
    audit.close()


def test_the_file_is_in_the_home_unless_set(tmp_path: Path) -> None:
    home = load(Settings, {"LONGTAIL_HOME": str(tmp_path)})
    assert home.profile_path == tmp_path / "ranking-profile.json"
    assert load(Settings, {"LONGTAIL_RANKING_PROFILE": "p.json"}).profile_path == Path("p.json")


def test_a_damaged_file_is_refused_in_a_sentence_that_names_it(path: Path) -> None:
    write(path, "sound")
    write_exposure({"a": 1.0, 'b,"ü': 2.5}, path)
    for file in (path, exposure_path(path)):
        assert check_refusals(file, lambda: ProfileWatch(path), ProfileError) > 5
    assert ProfileWatch(path).profile.version.startswith("sound@")
