"""Page tokens: where the next page begins, good only with the request that they were given for."""

import base64
import binascii
import hashlib
from collections.abc import Sequence

from longtail.runtime.errors import InvalidArgument, Violation

# Enough to tell a mistake; a token gives no rights that its caller has not, so it needs no secret.
CHECK_BYTES = 9


def encode_token(arguments: Sequence[str], position: bytes) -> str:
    """Return a token for the page after `position` of the list that `arguments` ask for."""
    return base64.urlsafe_b64encode(_check(arguments, position) + position).decode()


def decode_token(arguments: Sequence[str], token: str) -> bytes:
    """Return the position in a token.

    Raises InvalidArgument when it was not given out for these arguments.
    """
    try:
        content = base64.b64decode(token, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise foreign_token() from None
    check, position = content[:CHECK_BYTES], content[CHECK_BYTES:]
    if check != _check(arguments, position):
        raise foreign_token()
    return position


def foreign_token() -> InvalidArgument:
    """Return the refusal of a token that was not given out for the request it came with."""
    return InvalidArgument(
        Violation("page_token", "is none that this server gave out for this request")
    )


def _check(arguments: Sequence[str], position: bytes) -> bytes:
    digest = hashlib.sha256()
    for part in (*map(str.encode, arguments), position):
        # With their lengths, so that no two lists of parts are one.
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()[:CHECK_BYTES]
