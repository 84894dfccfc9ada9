"""Recommendation tokens: each names one recommended list, and holds what has to be known of it.

Nothing is stored when a list is given out, so a list that nobody is shown costs nothing. A token is
good in every process of its store, after a restart and after a restore, because its key is part of
what the store holds. Whom the list is for is for that store alone to read: the id is encrypted,
with the MAC of the token as its nonce, as SIV modes do (RFC 5297).
"""

import base64
import binascii
import hashlib
import hmac
import math
import secrets
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

# Items are listed again and again; so many are known, in 2 MB.
KEPT_HASHES = 10_000
ID_BYTES = 12
HASH_BYTES = 4
# Of keyed BLAKE2b (RFC 7693): at this length nobody finds a second token for one MAC.
MAC_BYTES = 16
# Of a keystream that one hash gives; longer ids take several.
BLOCK_BYTES = 64
# id, time, revision, strength, relevance_loss, tail_fraction, items, propensities below 1.
_HEAD = struct.Struct(f"<{ID_BYTES}sqQfffBB")
_PROPENSITY = struct.Struct("<Bf")

# The longest that is given out: 100 items, all of them drawn, for a user_id of 256 characters.
MAX_TOKEN = math.ceil(
    (MAC_BYTES + _HEAD.size + 100 * (HASH_BYTES + _PROPENSITY.size) + 4 * 256) * 4 / 3
)


@dataclass(frozen=True)
class RecommendedList:
    """A list as it was given out, for `user_id` or, when that is empty, for nobody known.

    `time` is in microseconds since the epoch; `revision` is that of the catalogue. `item_hashes`
    stand for the items and `propensities` say how likely each was to be listed, in rank order.
    A token keeps strength, shares and propensities to single precision.
    """

    id: bytes
    user_id: str
    time: int
    revision: int
    strength: float
    relevance_loss: float
    tail_fraction: float
    item_hashes: tuple[int, ...]
    propensities: tuple[float, ...]

    @classmethod
    def new(
        cls,
        *,
        user_id: str,
        time: int,
        revision: int,
        strength: float,
        relevance_loss: float,
        tail_fraction: float,
        item_ids: Sequence[str],
        propensities: Sequence[float],
    ) -> "RecommendedList":
        """Return a list of at most 255 items with an id that no other has."""
        return cls(
            secrets.token_bytes(ID_BYTES),
            user_id,
            time,
            revision,
            strength,
            relevance_loss,
            tail_fraction,
            tuple(map(item_hash, item_ids)),
            tuple(propensities),
        )

    def rank_of(self, item_id: str) -> int | None:
        """Return the place of an item, from 1; None when the list does not hold it.

        One foreign item in 43 million is taken for one of a list of 100.
        """
        wanted = item_hash(item_id)
        return self.item_hashes.index(wanted) + 1 if wanted in self.item_hashes else None


@lru_cache(maxsize=KEPT_HASHES)
def item_hash(item_id: str) -> int:
    """Return what stands for an item in a token, the same in every process: 32 bits."""
    digest = hashlib.blake2b(item_id.encode(), digest_size=HASH_BYTES).digest()
    return int.from_bytes(digest, "little")


class TokenCodec:
    """Makes and reads the tokens of one catalogue. `key` is what its store alone has."""

    def __init__(self, key: bytes) -> None:
        self._key = hashlib.sha256(b"recommendation token " + key).digest()
        self._id_key = hashlib.sha256(b"person of a recommendation token " + key).digest()

    def encode(self, recommended: RecommendedList) -> str:
        """Return the token of a list, at most MAX_TOKEN characters for up to 100 items."""
        content, user_id = _pack(recommended), recommended.user_id.encode()
        mac = self._mac(content + user_id)
        return _to_text(mac + content + self._crypt(mac, user_id))

    def decode(self, token: str) -> RecommendedList | None:
        """Return the list that a token names, None when no server of this catalogue gave it out."""
        if len(token) > MAX_TOKEN:
            return None
        try:
            signed = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        mac, content = signed[:MAC_BYTES], signed[MAC_BYTES:]
        at = _length(content)
        content, user_id = content[:at], self._crypt(mac, content[at:])
        # The last character has bits that mean nothing: one token, one way to write it.
        if not hmac.compare_digest(mac, self._mac(content + user_id)) or _to_text(signed) != token:
            return None
        return _unpack(content, user_id.decode())

    def _crypt(self, nonce: bytes, text: bytes) -> bytes:
        """Encrypt `text`, or decrypt what this made of it."""
        stream, length = b"", len(text)
        while len(stream) < length:
            block = (len(stream) // BLOCK_BYTES).to_bytes(1)
            stream += hashlib.blake2b(nonce, key=self._id_key, salt=block).digest()
        mixed = int.from_bytes(text) ^ int.from_bytes(stream[:length])
        return mixed.to_bytes(length)

    def _mac(self, content: bytes) -> bytes:
        return hashlib.blake2b(content, key=self._key, digest_size=MAC_BYTES).digest()


def _pack(recommended: RecommendedList) -> bytes:
    # Hardly any item is drawn, and those that are not have a propensity of 1.
    drawn = [
        _PROPENSITY.pack(place, propensity)
        for place, propensity in enumerate(recommended.propensities)
        if propensity != 1
    ]
    head = _HEAD.pack(
        recommended.id,
        recommended.time,
        recommended.revision,
        recommended.strength,
        recommended.relevance_loss,
        recommended.tail_fraction,
        len(recommended.item_hashes),
        len(drawn),
    )
    hashes = struct.pack(f"<{len(recommended.item_hashes)}I", *recommended.item_hashes)
    return head + hashes + b"".join(drawn)


def _length(content: bytes) -> int:
    """Return where what `_pack` makes ends; all of it where that cannot be."""
    if len(content) < _HEAD.size:
        return len(content)
    count, drawn_count = content[_HEAD.size - 2 : _HEAD.size]
    return _HEAD.size + HASH_BYTES * count + _PROPENSITY.size * drawn_count


def _unpack(content: bytes, user_id: str) -> RecommendedList:
    list_id, time, revision, *policy, count, drawn_count = _HEAD.unpack_from(content)
    hashes = struct.unpack_from(f"<{count}I", content, _HEAD.size)
    propensities = [1.0] * count
    drawn = content[_HEAD.size + HASH_BYTES * count :]
    for place, propensity in _PROPENSITY.iter_unpack(drawn[: _PROPENSITY.size * drawn_count]):
        propensities[place] = propensity
    strength, relevance_loss, tail_fraction = policy
    return RecommendedList(
        id=list_id,
        user_id=user_id,
        time=time,
        revision=revision,
        strength=strength,
        relevance_loss=relevance_loss,
        tail_fraction=tail_fraction,
        item_hashes=hashes,
        propensities=tuple(propensities),
    )


def _to_text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
