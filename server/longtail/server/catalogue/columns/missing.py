"""Which attributes that a request names no item has, and which may have been meant."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from heapq import nlargest
from itertools import islice
from typing import Any

import numpy as np
from longtail.server.catalogue.columns.attributes import AttributeColumns, Field
from longtail.server.catalogue.columns.filter import Condition, Exists, Kind
from longtail.server.catalogue.columns.postings import Ints, Mask, Postings

# A row of the newest is nearly always current, and then the others need no look.
NEWEST = 64
# What is compared with a name that there is not: so many names, none longer.
NAMES, MAX_NAME = 200, 64
# Missing attributes of a request that are told, and of these those with a nearest name.
TOLD, WITH_NEAREST = 100, 10
LIKENESS = 0.75
# Of names with nearly the same letters, those whose order is looked at: it takes the longest.
COMPARED = 5

# From rows (n,) to whether they are current, (n,).
AreCurrent = Callable[[Ints], Mask]


@dataclass(frozen=True)
class MissingAttribute:
    """The dotted path of an attribute that no item has, and the nearest that one has, or ""."""

    path: str
    nearest: str


def missing_attributes(
    attributes: AttributeColumns, conditions: Iterable[Condition], are_current: AreCurrent
) -> list[MissingAttribute]:
    """Return the attributes of `conditions` that no current row has, each once: the first TOLD.

    An attribute that is compared with something has to be there with a value of that type.
    """
    paths: dict[str, None] = {}
    for each in conditions:
        if len(paths) == TOLD:
            break
        if not _is_held(_tested(attributes.field(each.field), each), are_current):
            paths[each.field] = None
    # To find what is alike takes milliseconds for each.
    looked_for = set(islice((path for path in paths if len(path) <= MAX_NAME), WITH_NEAREST))
    return [
        MissingAttribute(
            path, _nearest(attributes, path, are_current) if path in looked_for else ""
        )
        for path in paths
    ]


def _tested(field: Field | None, condition: Condition) -> Iterator[Postings[Any]]:
    if field is None:
        return
    if isinstance(condition.test, Exists):
        yield from field.all_postings()
    elif condition.test.kind is Kind.NUMBER and field.numbers is not None:
        yield field.numbers
    elif condition.test.kind is Kind.FLAG and field.flags is not None:
        yield field.flags
    elif condition.test.kind in (Kind.TEXT, Kind.TIME) and field.texts is not None:
        yield field.texts.postings


def _is_held(held: Iterator[Postings[Any]], are_current: AreCurrent) -> bool:
    for postings in held:
        rows = postings.rows.values
        for some in (rows[-NEWEST:], rows):
            if are_current(some.astype(np.int64)).any():
                return True
    return False


def _nearest(attributes: AttributeColumns, path: str, are_current: AreCurrent) -> str:
    for name in _alike(path, tuple(attributes.paths())):
        field = attributes.field(name)
        if name != path and field and _is_held(field.all_postings(), are_current):
            return name
    return ""


@lru_cache
def _alike(path: str, paths: tuple[str, ...]) -> list[str]:
    """Return those of `paths` that are like `path`, whatever their case, the most like first."""
    plain = {name.casefold(): name for name in paths if len(name) <= MAX_NAME}
    wanted = path.casefold()
    # An export has an item's attributes within an object of that name.
    for inner in dict.fromkeys((wanted, wanted.removeprefix("attributes."))):
        found = _most_like(inner, list(plain)[:NAMES])
        if found:
            return [plain[each] for each in found]
    return []


def _most_like(wanted: str, names: Iterable[str]) -> list[str]:
    matcher = SequenceMatcher(b=wanted)
    likely, found = [], []
    for name in names:
        matcher.set_seq1(name)
        if matcher.real_quick_ratio() >= LIKENESS:
            likely.append((matcher.quick_ratio(), name))
    for _, name in nlargest(COMPARED, likely):
        matcher.set_seq1(name)
        if (likeness := matcher.ratio()) >= LIKENESS:
            found.append((likeness, name))
    return [name for _, name in sorted(found, reverse=True)]
