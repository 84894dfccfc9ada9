"""Checks that the parts of a recommendation request share."""

from collections.abc import Sequence

from longtail.runtime.errors import InvalidArgument, Violation
from longtail.server.rpc.read.filter import MAX_FIELD


def check_count(field: str, elements: Sequence[object], limit: int) -> None:
    """Refuse more than `limit` elements."""
    if len(elements) > limit:
        raise InvalidArgument(Violation(field, f"holds {len(elements)} elements, over {limit}"))


def check_attribute(field: str, path: str) -> str:
    """Return the dotted path of an attribute, of 1 to MAX_FIELD characters."""
    if not path.strip():
        raise InvalidArgument(Violation(field, "is blank"))
    if len(path) > MAX_FIELD:
        raise InvalidArgument(Violation(field, f"is {len(path)} characters, over {MAX_FIELD}"))
    return path
