"""`longtail-migrate --from STORE --to STORE`: copy a whole store to another engine, and switch.

The store is served and written to meanwhile. What is copied is compared with what is there, so that
the command goes on where it was broken off; it is the same command that moves a store back.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from longtail.runtime.errors import FailedPrecondition, ServiceError
from longtail.server.operations.move_progress import MoveProgress
from longtail.server.process.private import OTHERS
from longtail.server.store.moving.copying import CopyDiffers, TableCopy
from longtail.server.store.moving.ends import opened
from longtail.server.store.moving.move import Move

# Passes before it is said that the store is written to as fast as it is copied.
PASSES = 5
# So many rows that were written meanwhile are copied in a moment.
FEW_ROWS = 1000
# What Ctrl-C ends with.
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Move the store that the command line names; return the exit code."""
    options = _parser().parse_args(arguments)
    os.umask(OTHERS)
    try:
        with ExitStack() as stack:
            source = stack.enter_context(opened(options.source, make=False))
            target = stack.enter_context(opened(options.target, make=True))
            move = Move(source, target, options.batch)
            move.begin()
            seconds = _copy(move)
            if options.switch:
                _switch(move, seconds, options.hold)
                sys.stdout.write(
                    f"moved: start servers on {target.name}, its URL in LONGTAIL_STORE\n"
                    if target.shared
                    else f"moved: start servers on {target.name}, without LONGTAIL_STORE\n"
                )
                sys.stdout.write(
                    f"{source.name} is kept as it was, and refuses to be served or written to\n"
                )
            else:
                sys.stdout.write(
                    f"{target.name} is a copy, row by row; nothing serves it before it is given "
                    "--switch\n"
                )
    except KeyboardInterrupt:
        sys.stderr.write("migrate: stopped; the same command goes on from here\n")
        return INTERRUPTED
    except (CopyDiffers, ServiceError, OSError) as error:
        sys.stderr.write(f"migrate: {error}\n")
        return 1
    return 0


def _copy(move: Move) -> float:
    """Copy until hardly anything is left to copy; return how many seconds the last pass took."""
    for number in range(1, PASSES + 1):
        with MoveProgress(f"pass {number}", move.counts(), sys.stderr) as progress:
            copied = move.copy(progress)
        written, deleted = sum(c.written for c in copied), sum(c.deleted for c in copied)
        sys.stdout.write(
            f"pass {number}: {sum(c.rows for c in copied):,} rows, {written:,} written, "
            f"{deleted:,} deleted, in {progress.seconds:.1f} s\n"
        )
        if written + deleted <= FEW_ROWS:
            break
    else:
        sys.stderr.write("migrate: the store is written to as fast as it is copied\n")
    return progress.seconds


def _switch(move: Move, seconds: float, hold: float) -> None:
    """Have the target be the store, unless writers would be held off for longer than `hold`."""
    if seconds > hold:
        raise FailedPrecondition(
            f"the last pass took {seconds:.0f} s, and writers would be held off as long: more than "
            f"--hold {hold:g}. Give more; no write is lost, callers are told to try again"
        )
    with MoveProgress("switch, writers wait", move.counts(), sys.stderr) as progress:
        copied = move.switch(progress, hold)
    sys.stdout.write(f"writers were held off for {progress.seconds:.1f} s\n")
    _write_table(copied)


def _write_table(copied: Sequence[TableCopy]) -> None:
    width = max(len(each.table) for each in copied)
    for each in copied:
        sys.stdout.write(f"{each.table:{width}}  {each.rows:>12,} rows  {each.copy_sum}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="longtail-migrate",
        description="Copy a whole store to another engine while it is served, and switch to it. "
        "Broken off, the same command goes on.",
        epilog="STORE: sqlite:FILE, or postgresql://USER@HOST/DATABASE with the password in "
        "PGPASSWORD or in a file that PGPASSFILE names.",
        allow_abbrev=False,
    )
    parser.add_argument("--from", dest="source", required=True, metavar="STORE")
    parser.add_argument("--to", dest="target", required=True, metavar="STORE")
    parser.add_argument(
        "--switch",
        action="store_true",
        help="then hold off writers, compare all of it, and have the target be the store",
    )
    parser.add_argument(
        "--hold",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="the longest that writers may be held off (default 60)",
    )
    parser.add_argument(
        "--batch",
        type=_rows,
        default=5000,
        metavar="ROWS",
        help="rows that are held at a time, fewer of large ones (default 5000)",
    )
    return parser


def _seconds(text: str) -> float:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return float(text)


def _rows(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not 1 to 100000")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
