"""Pages of one list: a token holds the candidates that the pages before it have left.

So nothing is kept between calls, any process of the store can answer, and what is written meanwhile
neither repeats nor moves what is still to come.
"""

import hashlib
import struct
import zlib

import numpy as np
from longtail.server.ranking.evidence import SIGNALS, PoolScale
from longtail.server.recommend.request import FrozenCandidates
from longtail.server.rpc.tokens.page import decode_token, encode_token, foreign_token
from longtail.v1 import recommendation_service_pb2 as pb

# What may differ from page to page.
FREE_FIELDS = ("page_size", "explain", "include_items", "min_revision", "page_token")
# Results shown before, how many signals there are, and whether the ids are packed; mean and
# deviation of each signal follow.
HEAD = struct.Struct("<HB?")
FLOAT = np.dtype("<f8")
# Those of the spaces of the caller's come behind the others.
MOST_SIGNALS = SIGNALS + 8
# No id holds it, as none holds a control character.
SEPARATOR = "\n"
# The candidates that a server can be set to at most, and pins. Their ids have up to 1,024 bytes.
MAX_IDS, MAX_IDS_BYTES = 2000 + 20, 2**21
# From so many bytes of ids on they are packed. Most lists have no second page: what few bytes there
# are is not worth the time.
PACKED_BYTES = 4096
# Of a token: what cannot be compressed grows by less than a thousandth, then by a third as text.
MAX_TOKEN = 3_000_000


def encode_page(request: pb.RecommendRequest, left: FrozenCandidates) -> str:
    """Return the token for the page after that of `request`; empty when no candidate is left."""
    if not left.item_ids:
        return ""
    ids = SEPARATOR.join(left.item_ids).encode()
    packed = len(ids) >= PACKED_BYTES
    scale = np.concatenate((left.scale.mean, left.scale.deviation), dtype=FLOAT)
    head = HEAD.pack(left.shown, len(left.scale.mean), packed) + scale.tobytes()
    return encode_token(_arguments(request), head + (zlib.compress(ids) if packed else ids))


def decode_page(request: pb.RecommendRequest) -> FrozenCandidates:
    """Return the candidates that the page of `request`, which has a token, is made from.

    Raises InvalidArgument when the token was not given out for such a request.
    """
    if len(request.page_token) > MAX_TOKEN:
        raise foreign_token()
    content = decode_token(_arguments(request), request.page_token)
    # The check in a token tells mistakes, not malice: what follows may be anybody's.
    if len(content) < HEAD.size:
        raise foreign_token()
    shown, signals, packed = HEAD.unpack_from(content)
    end = HEAD.size + 2 * signals * FLOAT.itemsize
    if not SIGNALS <= signals <= MOST_SIGNALS or len(content) < end:
        raise foreign_token()
    scale = np.frombuffer(content[HEAD.size : end], FLOAT).astype(np.float64)
    if not np.isfinite(scale).all():
        raise foreign_token()
    return FrozenCandidates(
        item_ids=_ids(content[end:], packed=packed),
        scale=PoolScale(scale[:signals], scale[signals:]),
        shown=shown,
    )


def _ids(content: bytes, *, packed: bool) -> tuple[str, ...]:
    try:
        ids = (_unpacked(content) if packed else content).decode()
    except UnicodeDecodeError:
        raise foreign_token() from None
    if not ids or ids.count(SEPARATOR) >= MAX_IDS:
        raise foreign_token()
    return tuple(dict.fromkeys(ids.split(SEPARATOR)))


def _unpacked(content: bytes) -> bytes:
    stream = zlib.decompressobj()
    try:
        # Bounded: a few bytes can stand for gigabytes.
        ids = stream.decompress(content, MAX_IDS_BYTES)
    except zlib.error:
        raise foreign_token() from None
    if not stream.eof or stream.unused_data:
        raise foreign_token()
    return ids


def _arguments(request: pb.RecommendRequest) -> tuple[str, str, str]:
    asked = pb.RecommendRequest()
    asked.CopyFrom(request)
    for field in FREE_FIELDS:
        asked.ClearField(field)
    content = asked.SerializeToString(deterministic=True)
    # What was given out by a server of other signals does not fit.
    return "Recommend", str(SIGNALS), hashlib.sha256(content).hexdigest()
