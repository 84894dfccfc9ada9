"""What persons go by in the store: their ids or, with a key that lies elsewhere, pseudonyms.

Who has all of the store, and not the key, cannot tell by trying ids whom a pseudonym stands for.
"""

import base64
import hashlib
import hmac
import stat
from pathlib import Path

# Of keyed BLAKE2b (RFC 7693): of the id, and of that, by which one of ours is known.
HASH_BYTES, CHECK_BYTES = 16, 8
# As text.
LENGTH = (HASH_BYTES + CHECK_BYTES) * 4 // 3
LEAST_KEY = 32


class PseudonymKeyError(Exception):
    """The file of the key is of no use; the message says why."""


class Pseudonyms:
    """What persons go by. Without a `secret` each goes by the id.

    `mark` tells a key from others and does not lead to it; it is empty without one.
    """

    def __init__(self, secret: bytes = b"") -> None:
        self._secret = secret
        self._hash = self._keyed(b"person", HASH_BYTES)
        self._check = self._keyed(b"check", CHECK_BYTES)
        self.mark = self._keyed(b"mark", HASH_BYTES).digest() if secret else b""

    def __call__(self, user_id: str) -> str:
        """Return what the person goes by; a pseudonym of this key stays what it is."""
        if not self._secret or not user_id or self._is_ours(user_id):
            return user_id
        digest = self._of(self._hash, user_id.encode())
        whole = digest + self._of(self._check, digest)
        return base64.urlsafe_b64encode(whole).decode()

    def _is_ours(self, user_id: str) -> bool:
        if len(user_id) != LENGTH:
            return False
        try:
            whole = base64.b64decode(user_id, b"-_", validate=True)
        except ValueError:
            return False
        digest, check = whole[:HASH_BYTES], whole[HASH_BYTES:]
        return hmac.compare_digest(check, self._of(self._check, digest))

    def _keyed(self, purpose: bytes, size: int) -> "hashlib.blake2b":
        key = hashlib.sha256(b"pseudonym " + purpose + b" " + self._secret).digest()
        return hashlib.blake2b(key=key, digest_size=size)

    @staticmethod
    def _of(keyed: "hashlib.blake2b", content: bytes) -> bytes:
        digest = keyed.copy()
        digest.update(content)
        return digest.digest()


def read_pseudonyms(path: Path, data: Path) -> Pseudonyms:
    """Return the pseudonyms of the key in a file, which lies outside of the folder `data`.

    Raises PseudonymKeyError.
    """
    try:
        mode = path.stat().st_mode
        secret = path.read_bytes().strip()
    except OSError as error:
        raise PseudonymKeyError(f"{path} cannot be read: {error.strerror}") from None
    if mode & (stat.S_IWGRP | stat.S_IRWXO):
        raise PseudonymKeyError(f"others can read or write {path}: chmod 600")
    if path.resolve().is_relative_to(data.resolve()):
        raise PseudonymKeyError(f"{path} lies beside the store, whose ids it is to keep: move it")
    if len(secret) < LEAST_KEY:
        problem = f"{path} has {len(secret)} bytes, and takes {LEAST_KEY} that nobody can guess"
        raise PseudonymKeyError(f"{problem}, such as those of `openssl rand -base64 32`")
    return Pseudonyms(secret)
