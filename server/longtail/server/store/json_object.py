"""JSON objects as they are stored; most are empty, which costs nothing."""

import json
from collections.abc import Mapping
from typing import Any

from longtail.runtime.errors import StoreDamaged

EMPTY = "{}"

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def encode_object(value: Mapping[str, Any]) -> str:
    """Return a JSON object as text."""
    return _encode(value) if value else EMPTY


def decode_object(text: str) -> dict[str, Any]:
    """Return the JSON object of a text that `encode_object` wrote; raise StoreDamaged of another.

    What is wrong is not shown: it may be anybody's.
    """
    if text == EMPTY:
        return {}
    try:
        decoded = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        decoded = None
    if not isinstance(decoded, dict):
        raise StoreDamaged("what was a JSON object is none")
    return decoded
