"""What tells one content of a file from the next, without reading it."""

from pathlib import Path

# Inode, time of change, size. None: no file.
Mark = tuple[int, int, int] | None
# Reading says why.
UNREADABLE = (0, 0, 0)


def mark_of(path: Path) -> Mark:
    """Return the mark of a file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError:
        return UNREADABLE
    return found.st_ino, found.st_mtime_ns, found.st_size
