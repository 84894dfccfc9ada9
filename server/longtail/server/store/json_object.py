"""JSON objects as they are stored; most are empty, which costs nothing."""

import json
from collections.abc import Mapping
from typing import Any

EMPTY = "{}"

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def encode_object(value: Mapping[str, Any]) -> str:
    """Return a JSON object as text."""
    return _encode(value) if value else EMPTY


def decode_object(text: str) -> dict[str, Any]:
    """Return the JSON object of a text that `encode_object` wrote."""
    decoded: dict[str, Any] = {} if text == EMPTY else json.loads(text)
    return decoded
