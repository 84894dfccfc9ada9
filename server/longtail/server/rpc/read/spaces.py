"""Vector spaces by the names that callers give: the one that is meant, and vectors in it."""

import re
from collections.abc import Mapping

from longtail.runtime.errors import InvalidArgument, Violation
from longtail.server.rpc.read.fields import unit_vector
from longtail.server.store.records import NO_VECTORS, Vector, VectorSpace
from longtail.v1 import item_pb2

MAX_NAME, MAX_DIMENSION = 64, 4096
NAME = re.compile(r"[a-z][a-z0-9_-]*")
# The space of the texts, and that of the vectors adapted to behaviour.
RESERVED = ("text", "adapted")

Spaces = Mapping[str, VectorSpace]


def new_space_name(field: str, name: str) -> str:
    """Return the name of a space that is to be."""
    if not 1 <= len(name) <= MAX_NAME or not NAME.fullmatch(name):
        problem = f"is not 1 to {MAX_NAME} lower-case letters, digits, _ and -, a letter first"
        raise InvalidArgument(Violation(field, problem))
    if name in RESERVED:
        raise InvalidArgument(Violation(field, f"is {name!r}, which is the server's own"))
    return name


def new_dimension(field: str, dimension: int) -> int:
    """Return the length of the vectors of a space that is to be."""
    if not 1 <= dimension <= MAX_DIMENSION:
        raise InvalidArgument(Violation(field, f"is {dimension}, not in 1 to {MAX_DIMENSION:,}"))
    return dimension


def space_named(field: str, name: str, spaces: Spaces) -> VectorSpace:
    """Return the space of a name."""
    if not name:
        raise InvalidArgument(Violation(field, "is empty"))
    if name not in spaces:
        there = ", ".join(map(repr, sorted(spaces))) or "none"
        problem = f"is {name[:MAX_NAME]!r}, no vector space of the catalogue; there are: {there}"
        raise InvalidArgument(Violation(field, problem))
    return spaces[name]


def extra_vectors(item: item_pb2.Item, spaces: Spaces) -> Mapping[VectorSpace, Vector]:
    """Return the vectors (d,) of an item in other spaces than the encoder's, of unit length."""
    if not item.extra_vectors:
        return NO_VECTORS
    found: dict[VectorSpace, Vector] = {}
    for position, named in enumerate(item.extra_vectors):
        field = f"extra_vectors[{position}]"
        space = space_named(f"{field}.name", named.name, spaces)
        if space in found:
            first = list(found).index(space)
            problem = f"is that of extra_vectors[{first}] too"
            raise InvalidArgument(Violation(f"{field}.name", problem))
        found[space] = unit_vector(f"{field}.vector", named.vector, space.dimension)
    return found
