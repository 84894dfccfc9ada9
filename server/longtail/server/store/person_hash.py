"""What a person goes by where no id is kept: a hash with a key that the store alone has.

Without the key nobody can tell by trying ids whom it stands for.
"""

import hashlib
from collections.abc import Callable
from functools import cached_property

HASH_BYTES = 16


class PersonHash:
    """Hashes ids of persons. `key` gives the store's secret; it is asked once, at the first."""

    def __init__(self, key: Callable[[], bytes]) -> None:
        self._key = key

    def __call__(self, user_id: str) -> bytes:
        """Return what a person goes by, the same in every process and copy of the store."""
        digest = self._keyed.copy()
        digest.update(user_id.encode())
        return digest.digest()

    @cached_property
    def _keyed(self) -> "hashlib.blake2b":
        key = hashlib.sha256(b"person " + self._key()).digest()
        return hashlib.blake2b(key=key, digest_size=HASH_BYTES)
