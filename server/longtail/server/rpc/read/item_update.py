"""Field masks on items: which fields an update names, and what it makes of an item."""

from collections.abc import Sequence
from dataclasses import dataclass

from longtail.runtime.errors import InvalidArgument, Violation
from longtail.v1 import item_pb2

ATTRIBUTES, VECTOR, EXTRA_VECTORS = "attributes", "vector", "extra_vectors"
ATTRIBUTE = ATTRIBUTES + "."
# What an item is found by.
CONTENT = frozenset(("title", "text", VECTOR, EXTRA_VECTORS))
MAX_PATHS = 1000
# Of a path that is none, as it is said.
MAX_ECHO = 256
FIELDS = CONTENT | frozenset(
    (
        ATTRIBUTES,
        "popularity_prior",
        "state",
        "available_from",
        "available_until",
        "penalty",
    )
)


@dataclass(frozen=True)
class ItemMask:
    """The fields, and the single attributes, that an update names."""

    fields: frozenset[str]
    attributes: frozenset[str]


def item_mask(field: str, paths: Sequence[str]) -> ItemMask:
    """Return the mask of `paths`. Raises InvalidArgument that names each wrong one."""
    if not 1 <= len(paths) <= MAX_PATHS:
        raise InvalidArgument(Violation(field, f"names {len(paths)} fields, not 1 to {MAX_PATHS}"))
    wrong = [
        Violation(
            f"{field}.paths[{position}]", f"is {path[:MAX_ECHO]!r}, no field that can be changed"
        )
        for position, path in enumerate(paths)
        if path not in FIELDS and not _attribute(path)
    ]
    if wrong:
        raise InvalidArgument(*wrong)
    named = frozenset(paths)
    fields = named & FIELDS
    single = frozenset(map(_attribute, named - FIELDS))
    # Who replaces them all replaces each of them.
    return ItemMask(fields, frozenset() if ATTRIBUTES in fields else single)


def masked(mask: ItemMask, given: item_pb2.Item, present: item_pb2.Item) -> item_pb2.Item:
    """Return `present` with what the mask names taken from `given`, cleared where that is unset."""
    result = item_pb2.Item()
    result.CopyFrom(present)
    for field in mask.fields:
        result.ClearField(field)
    named = item_pb2.Item()
    named.CopyFrom(given)
    for descriptor, _ in given.ListFields():
        if descriptor.name not in mask.fields:
            named.ClearField(descriptor.name)
    result.MergeFrom(named)
    for name in mask.attributes:
        if name in given.attributes.fields:
            result.attributes.fields[name].CopyFrom(given.attributes.fields[name])
        elif name in result.attributes.fields:
            del result.attributes.fields[name]
    return result


def _attribute(path: str) -> str:
    """Return the name of a single attribute, which may hold dots itself; empty for another path."""
    return path.removeprefix(ATTRIBUTE) if path.startswith(ATTRIBUTE) else ""
