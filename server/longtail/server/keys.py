"""`longtail-keys`: make, list and revoke the API keys of a server, which need not be stopped."""

import argparse
import fcntl
import os
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from longtail.runtime.command_line import add_file, find_with_flags
from longtail.runtime.errors import ServiceError
from longtail.runtime.identity import Limits, Role
from longtail.runtime.keys import (
    MAX_LIMIT,
    MAX_STORED,
    Key,
    KeysError,
    hashed,
    new_secret,
    read_keys,
    write_keys,
)
from longtail.runtime.settings import SettingsError, read
from longtail.server.settings import Settings
from longtail.server.store.record_store import DATABASE
from longtail.server.store.usage import Usage, read_usage

MAX_NAME = 100


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        settings = read(Settings, find_with_flags(options))
        path = settings.keys_path
        with _alone(path.parent):
            if options.command == "add":
                limits = Limits(
                    options.rate,
                    options.concurrency,
                    options.batch,
                    options.items,
                    options.events,
                )
                secret = _add(path, options.name, Role[options.role.upper()], limits)
                sys.stderr.write("The key, which is not shown again:\n")
                sys.stdout.write(f"{secret}\n")
            elif options.command == "revoke":
                _revoke(path, options.name)
            else:
                used = read_usage(settings.store or settings.data / DATABASE)
                for key in _present(path):
                    sys.stdout.write(f"{_line(key, used.get(key.name, Usage()))}\n")
    except (SettingsError, KeysError, ServiceError, OSError, sqlite3.Error) as error:
        sys.stderr.write(f"keys: {error}\n")
        return 1
    return 0


def _add(path: Path, name: str, role: Role, limits: Limits) -> str:
    """Make a key, and return it."""
    present = _present(path)
    if any(key.name == name for key in present):
        raise KeysError(f"there is a key {name!r}: give another name, and revoke that one later")
    secret = new_secret()
    created = datetime.now(UTC).isoformat(timespec="seconds")
    write_keys(path, [*present, Key(name, role, hashed(secret), created, limits)])
    return secret


def _revoke(path: Path, name: str) -> None:
    present = _present(path)
    kept = [key for key in present if key.name != name]
    if len(kept) == len(present):
        raise KeysError(f"there is no key {name!r}")
    # With the last one the file stays, so that nobody gets in instead of everybody.
    write_keys(path, kept)


def _present(path: Path) -> Sequence[Key]:
    return read_keys(path) if path.exists() else ()


def _line(key: Key, used: Usage) -> str:
    return " ".join(
        [
            f"{key.name} role={key.role.name.lower()} created={key.created}",
            *(f"{name}={limit}" for name, limit in asdict(key.limits).items() if limit is not None),
            f"has_items={used.items} events_today={used.events}",
        ]
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait for other commands that change a file of this folder."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="longtail-keys",
        description="API keys of the server. They are kept, hashed, in LONGTAIL_SERVER_KEYS, or in "
        "keys.json in LONGTAIL_HOME; a server takes a change over within seconds. Once the file is "
        "there, nobody is answered without a key.",
    )
    add_file(parser)
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("add", help="make a key, and print it once")
    add.add_argument("name", type=_name, help="who has it; of the log and of list")
    add.add_argument(
        "--role",
        required=True,
        choices=[role.name.lower() for role in Role],
        help="what it may do; each role includes those before it",
    )
    add.add_argument("--rate", type=_limit, metavar="N", help="calls a second, of each process")
    add.add_argument(
        "--concurrency", type=_limit, metavar="N", help="calls at a time, of each process"
    )
    add.add_argument("--batch", type=_limit, metavar="N", help="elements of one request")
    add.add_argument(
        "--items", type=_stored, metavar="N", help="items in the catalogue that it made"
    )
    add.add_argument(
        "--events",
        type=_stored,
        metavar="N",
        help="interactions and impressions that it records a day (UTC)",
    )
    commands.add_parser(
        "list", help="show the keys, without what makes them good, and what they have stored"
    )
    revoke = commands.add_parser("revoke", help="make a key worthless")
    revoke.add_argument("name")
    return parser


def _name(text: str) -> str:
    if not text.isprintable() or " " in text or not 1 <= len(text) <= MAX_NAME:
        raise argparse.ArgumentTypeError(f"{text!r} is no name of 1 to {MAX_NAME} characters")
    return text


def _limit(text: str, most: int = MAX_LIMIT) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not 1 to {most}")
    return int(text)


def _stored(text: str) -> int:
    return _limit(text, MAX_STORED)


if __name__ == "__main__":
    sys.exit(main())
