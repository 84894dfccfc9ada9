"""API keys: a file that holds their hashes, and the ring that finds the caller of a key.

A key is 256 random bits, which nobody guesses: one SHA-256 is as good as a slow hash of passwords.
"""

import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from longtail.runtime.errors import PermissionDenied, Unauthenticated
from longtail.runtime.identity import Allowance, Caller, Limits, Role

logger = logging.getLogger(__name__)

HEADER, SCHEME = "authorization", "Bearer "
# So that a key that was left somewhere is found by who looks for such.
PREFIX = "longtail_"
MAX_LIMIT = 1_000_000
# Of what is stored.
MAX_STORED, STORED = 1_000_000_000, ("items", "events")
_BITS = 256
# Of its hash, by which a key is found.
_FOUND_BYTES = 16
_SHA256 = re.compile(r"[0-9a-f]{64}")


class KeysError(Exception):
    """The file of keys is of no use; the message says why."""


class _WrongKey(Exception):
    """An entry is no key; the message says which and why."""


@dataclass(frozen=True)
class Key:
    """What is kept of a key; `sha256` of it in hexadecimal digits, `created` as RFC 3339."""

    name: str
    role: Role
    sha256: str
    created: str
    limits: Limits = field(default_factory=Limits)


def new_secret() -> str:
    """Return a key that nobody has."""
    return PREFIX + secrets.token_urlsafe(_BITS // 8)


def hashed(secret: str) -> str:
    """Return what is kept of a key."""
    return hashlib.sha256(secret.encode()).hexdigest()


def read_keys(path: Path) -> tuple[Key, ...]:
    """Return the keys in a file; raise KeysError, of a file that is not there too."""
    try:
        mode = path.stat().st_mode
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise KeysError(f"others can write {path}: chmod 600")
        keys = [_key(entry) for entry in json.loads(path.read_text("utf-8"))["keys"]]
    except OSError as error:
        raise KeysError(f"{path} cannot be read: {error.strerror}") from None
    except _WrongKey as error:
        raise KeysError(f"{path}: {error}; mend it, or revoke the key and make another") from None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise KeysError(
            f"{path} is damaged, or no file of keys: put a copy of it back, or remove it and make "
            "keys anew"
        ) from None
    if len({key.name for key in keys}) < len(keys) or len({key.sha256 for key in keys}) < len(keys):
        raise KeysError(f"{path} has two keys of one name, or one key twice")
    return tuple(keys)


def write_keys(path: Path, keys: Iterable[Key]) -> None:
    """Put the keys into a file that is its owner's alone, whole or not at all; raise OSError."""
    entries = [{**asdict(key), "role": key.role.name.lower()} for key in keys]
    coming = path.with_name(f"{path.name}.new")
    coming.unlink(missing_ok=True)
    descriptor = os.open(coming, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump({"keys": entries}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    coming.replace(path)


class KeyRing:
    """The callers by their keys, as a file says; everybody may do all where there was none yet.

    `roles` says what a method, by its path, needs at least. Raises KeysError when the file is of no
    use.
    """

    def __init__(self, path: Path, roles: Mapping[str, Role]) -> None:
        self._path, self._roles = path, roles
        self.closed = False
        self._callers: Mapping[bytes, tuple[bytes, Caller]] = {}
        self._mark = self._look()
        if self._mark is not None:
            self._go_by(read_keys(path))

    def refresh(self) -> None:
        """Go by what the file holds now; by what it held before when it is of no use.

        A file that is taken away opens nothing. Raises KeysError, once for a content.
        """
        mark = self._look()
        if mark == self._mark:
            return
        self._mark = mark
        self._go_by(read_keys(self._path))

    def caller(self, metadata: Iterable[tuple[str, str | bytes]]) -> Caller:
        """Return whose key is in the metadata of a call; raise Unauthenticated."""
        for name, given in metadata:
            if name != HEADER:
                continue
            if isinstance(given, str) and given.startswith(SCHEME):
                digest = hashlib.sha256(given[len(SCHEME) :].encode()).digest()
                # What is found depends on the hash, of which nobody can choose the beginning; what
                # is compared is compared in constant time.
                kept, caller = self._callers.get(digest[:_FOUND_BYTES], (b"", None))
                if caller is not None and hmac.compare_digest(kept, digest):
                    return caller
            break
        raise Unauthenticated

    def check_role(self, caller: Caller, method: str) -> None:
        """Raise PermissionDenied when a method needs more; one without a role needs the most."""
        needed = self._roles.get(method, Role.ADMIN)
        if caller.role < needed:
            raise PermissionDenied(f"this needs a key with the role {needed.name.lower()}")

    def _go_by(self, keys: Sequence[Key]) -> None:
        # What was taken of a limit stays taken when other keys change.
        known = {caller.name: caller for _, caller in self._callers.values()}
        callers = {}
        for key in keys:
            allowance = None
            if key.limits != Limits():
                before = known[key.name].allowance if key.name in known else None
                kept = before is not None and before.limits == key.limits
                allowance = before if kept else Allowance(key.limits)
            caller = Caller(key.name, key.role, allowance, has_key=True)
            digest = bytes.fromhex(key.sha256)
            callers[digest[:_FOUND_BYTES]] = digest, caller
        self._callers, self.closed = callers, True
        logger.info("keys read path=%s keys=%d", self._path, len(keys))

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        except OSError:
            return 0, 0, 0  # Reading says why.
        return found.st_ino, found.st_mtime_ns, found.st_size


def _key(entry: Mapping[str, Any]) -> Key:
    limits = Limits(**entry.get("limits", {}))
    for kind, limit in asdict(limits).items():
        most = MAX_STORED if kind in STORED else MAX_LIMIT
        if limit is not None and not (type(limit) is int and 1 <= limit <= most):
            raise _WrongKey(f"{limit!r} is no limit from 1 to {most}")
    name, digest = str(entry["name"]), str(entry["sha256"])
    if not name or not _SHA256.fullmatch(digest):
        raise _WrongKey(f"the key {name!r} has no name, or no SHA-256")
    role = str(entry["role"]).upper()
    if role not in Role.__members__:
        raise _WrongKey(f"the key {name!r} has a role that there is not")
    return Key(name, Role[role], digest, str(entry["created"]), limits)
