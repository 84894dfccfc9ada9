"""`longtail-server`: hold the folder of the store, then serve, or keep several that do."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from longtail.runtime.command_line import (
    Parser,
    add_flags,
    find_with_flags,
    hand_down,
    write_settings,
)
from longtail.runtime.freed_memory import share_heaps
from longtail.runtime.garbage import keep_collections_short
from longtail.runtime.logs import configure_logging
from longtail.runtime.settings import SettingsError, read
from longtail.server.process.at_rest import forget, note
from longtail.server.process.folder_lock import held
from longtail.server.process.memory import keep_freed_memory
from longtail.server.process.private import keep_private
from longtail.server.process.supervision import supervise
from longtail.server.settings import Settings

logger = logging.getLogger(__name__)

MAX_PROCESSES = 64
# Searches share the interpreter with validation, merges and what is written; each gives it up
# after so long, where Python's own interval is five milliseconds. Who waits insists after so long
# in which nobody woke it. NumPy lets go of it for an instant in each small product, which wakes all
# and leaves them nothing: where there was a product every 0.3 ms, others waited for 340 ms.
SWITCH_SECONDS = 0.0002
# Beyond the time for calls in flight: what a process needs to leave.
LEAVE_SECONDS = 10.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        given = find_with_flags(options)
        settings = read(Settings, given)
        if options.check:
            settings.check_closed()
            write_settings(settings, given)
            return 0
        configure_logging(settings.log_level, settings.log_format)
        if options.process is not None:
            # The parent holds the folder, and this process its lock with it.
            return _serve(settings, options.process, check=options.first)
        settings.check_closed()
        keep_private(settings.data)
        with held(settings.data) as lock:
            # What is taken is found before the catalogue is loaded, and not after.
            for process in range(options.processes):
                settings.metrics_address.further(process).check()
            admin = settings.admin_address
            if options.processes == 1:
                settings.address.check()
                if admin is not None:
                    admin.check()
                code = _serve(settings, None, check=True)
            else:
                hand_down(given)
                # Whoever is started later finds others that write.
                first = iter(["--first"])
                command = [sys.executable, "-m", "longtail.server", "--process"]
                code = supervise(
                    lambda index: [*command, str(index), *islice(first, 1)],
                    options.processes,
                    [settings.address, *([admin] if admin is not None else [])],
                    stop_seconds=settings.drain_seconds + LEAVE_SECONDS,
                    inherited=[lock],
                )
            if code == 0:
                _note_checksum(settings.data)
            return code
    except SettingsError as error:
        sys.stderr.write(f"server: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"server: {error}\n")
        return 1


def _serve(settings: Settings, process: int | None, *, check: bool) -> int:
    # Requests run side by side; one that takes the cores of others makes all of them late.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Imported only now, because numpy reads that once, and because the parent of several
    # processes has no use for gRPC and all that comes with it.
    from longtail.runtime.errors import ServiceError
    from longtail.runtime.receiver import tracing_to
    from longtail.server.app import StartError, run

    sys.setswitchinterval(SWITCH_SECONDS)
    share_heaps()
    keep_freed_memory()
    keep_collections_short()
    try:
        with tracing_to(
            settings.traces_endpoint, settings.traces_ca, "longtail-server", settings.traces_ratio
        ) as tracer:
            asyncio.run(run(settings, tracer, process=process, check=check))
    except (StartError, ServiceError) as error:
        sys.stderr.write(f"server: {error}\n")
        return 1
    return 0


def _note_checksum(data: Path) -> None:
    # The parent of several processes has no use for them earlier.
    from longtail.runtime.errors import StoreDamaged
    from longtail.server.store.record_store import DATABASE
    from longtail.server.store.sqlite.check import version_of
    from longtail.server.store.sqlite.opening import is_open

    path = data / DATABASE
    if not path.exists() or is_open(path):
        return
    # Without one it is as after a kill.
    with suppress(OSError, StoreDamaged):
        note(path, version_of(path))
        # Who opened it meanwhile had none to remove.
        if is_open(path):
            forget(path)


def _parser() -> argparse.ArgumentParser:
    parser = Parser("longtail-server", "Serve recommendations.")
    parser.add_argument(
        "--processes",
        type=_count,
        default=1,
        metavar="N",
        help="serving processes on this machine, which share the port and the store (default 1)",
    )
    parser.add_argument("--process", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--first", action="store_true", help=argparse.SUPPRESS)
    add_flags(parser, Settings)
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MAX_PROCESSES:
        raise argparse.ArgumentTypeError(f"{text!r} is not 1 to {MAX_PROCESSES}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
