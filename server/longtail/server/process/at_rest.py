"""The checksum of a file that nobody has open, so that it is seen when a disk changes it meanwhile.

SQLite keeps none of what stands in a row: a bit that flips there leaves the database sound.
"""

import json
import os
import zlib
from pathlib import Path

from longtail.server.process.durable import flush

# The file beside it with its checksum.
SUFFIX = ".checksum"
BLOCK_BYTES = 2**20


def note(path: Path, version: str) -> None:
    """Note the checksum of a file that was closed; one that is noted already stays as it is.

    `version` is that of what is in it. The folder belongs to who calls.
    """
    target = _note_of(path)
    if target.exists():
        return
    coming = target.with_name(f"{target.name}.unfinished")
    with coming.open("w", encoding="ascii") as file:
        json.dump({"version": version, "crc32": _checksum(path)}, file)
        file.flush()
        os.fsync(file.fileno())
    coming.replace(target)
    flush(path.parent)


def forget(path: Path) -> None:
    """Have no checksum of a file that is written to from now on, also after a loss of power."""
    if (target := _note_of(path)).exists():
        target.unlink(missing_ok=True)
        flush(path.parent)


def changed(path: Path, version: str) -> str | None:
    """Return in words that a file of this version is not what was noted of it.

    None where it is, where nothing is noted, or another version: the file was put there by hand.
    """
    target = _note_of(path)
    try:
        noted = json.loads(target.read_bytes())
        if noted["version"] != version or noted["crc32"] == _checksum(path):
            return None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return (
        f"{path} is not as it was left, by its checksum; where it was changed on purpose, delete "
        f"{target}"
    )


def _checksum(path: Path) -> int:
    # Against what a disk does, not against whoever may write to it: at a fifth of SHA-256's price.
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            checksum = zlib.crc32(block, checksum)
    return checksum


def _note_of(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)
