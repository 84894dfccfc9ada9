"""The audit: a line for each change that somebody asked for, in files of its own.

It says who, what, how many and when, and names persons by nothing but the store's hash of them.
"""

import json
import logging
import time
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

from longtail.runtime.identity import current_caller

logger = logging.getLogger(__name__)

# The present file and those before it; the oldest goes when another is begun.
FILES = 10
# Who did what nobody asked for in a call.
SERVER = "server"


class Audit:
    """The audit of one process, in `folder`; all its files together take `limit` bytes at most.

    Any thread may tell. A line that cannot be written is told in the log, and holds nothing up.
    """

    def __init__(self, folder: Path, process: int | None, limit: int) -> None:
        name = "audit.jsonl" if process is None else f"audit-{process}.jsonl"
        self._file = _File(
            folder / name,
            maxBytes=limit // FILES,
            backupCount=FILES - 1,
            encoding="utf-8",
            delay=True,
        )
        self._file.setFormatter(logging.Formatter("%(message)s"))

    def tell(self, action: str, **facts: str | int) -> None:
        """Write what was done, by whoever calls in this task."""
        try:
            caller = current_caller().name
        except LookupError:
            caller = SERVER
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = json.dumps({"time": moment, "caller": caller, "action": action, **facts})
        self._file.handle(logging.makeLogRecord({"msg": line}))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class _File(RotatingFileHandler):
    def _open(self) -> TextIOWrapper:
        Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
        return super()._open()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging names it)
        logger.exception("audit not written file=%s", self.baseFilename)
