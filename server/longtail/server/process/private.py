"""What a process of ours writes is for its owner alone: the store holds what people did and asked.

A file of SQLite, of hnswlib or of our own gets its mode from the umask, so that nothing is missed;
what is there already, from before or put back by hand, is narrowed at start.
"""

import logging
import os
import stat
from pathlib import Path

logger = logging.getLogger(__name__)

OTHERS = stat.S_IRWXG | stat.S_IRWXO


def keep_private(folder: Path) -> None:
    """Have files and folders made from now on, and all in `folder`, be their owner's alone.

    Links are not followed. What belongs to somebody else is told in the log and left.
    """
    os.umask(OTHERS)
    folder.mkdir(parents=True, exist_ok=True)
    _narrow(folder, folder.stat())
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            try:
                _narrow(path, path.lstat())
            except FileNotFoundError:
                # Another process of this server writes meanwhile.
                continue


def _narrow(path: Path, found: os.stat_result) -> None:
    mode = stat.S_IMODE(found.st_mode)
    if stat.S_ISLNK(found.st_mode) or not mode & OTHERS:
        return
    try:
        path.chmod(mode & ~OTHERS)
    except PermissionError as error:
        logger.warning("others can read path=%s mode=%o error=%s", path, mode, error.strerror)
