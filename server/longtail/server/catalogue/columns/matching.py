"""Which rows pass a filter: one pass over the postings of each attribute that it names.

Or over those of a few rows, where no others are asked for.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from longtail.server.catalogue.columns.attributes import AttributeColumns, Field
from longtail.server.catalogue.columns.filter import (
    Condition,
    Equals,
    Exists,
    Filter,
    FilterTypeError,
    In,
    Kind,
    Range,
    Test,
)
from longtail.server.catalogue.columns.postings import NO_MOMENT, Ints, Mask, Postings, TextPostings
from numpy.typing import NDArray

# So many comparisons cost less than one binary search per value: of many values, and of few.
FEW_OPERANDS, FEWER_OPERANDS = 100, 10
MANY_VALUES = 10_000

# From values of postings (n,) to whether they pass, (n,).
Hits = Callable[[NDArray[Any]], Mask]


class _Span:
    """The rows start .. stop - 1."""

    def __init__(self, start: int, stop: int) -> None:
        self._start, self._stop = start, stop
        self.count = stop - start

    def present(self, postings: Postings[Any]) -> Mask:
        """Return which rows have a posting, (count,)."""
        return postings.present(self._start, self._stop)

    def passing(self, postings: Postings[Any], hits: Hits) -> Mask:
        """Return which rows have a posting that is a hit, (count,)."""
        rows, values = postings.between(self._start, self._stop)
        return postings.mask(rows, hits(values), self._start, self._stop)


class _Chosen:
    """Some rows, as _Span."""

    def __init__(self, rows: Ints) -> None:
        self._rows = rows
        self.count = len(rows)

    def present(self, postings: Postings[Any]) -> Mask:
        places, _ = postings.among(self._rows)
        return self._mask(places)

    def passing(self, postings: Postings[Any], hits: Hits) -> Mask:
        places, values = postings.among(self._rows)
        return self._mask(places[hits(values)])

    def _mask(self, places: Ints) -> Mask:
        mask = np.zeros(self.count, np.bool_)
        mask[places] = True
        return mask


def matching(attributes: AttributeColumns, wanted: Filter, count: int, start: int = 0) -> Mask:
    """Return which of the rows start .. count - 1 pass a filter, (count - start,).

    Raises FilterTypeError when an operand is of a type that its attribute holds nowhere, in rows
    of dead versions neither.
    """
    return _matching(attributes, wanted, _Span(start, count))


def matching_among(attributes: AttributeColumns, wanted: Filter, rows: Ints) -> Mask:
    """Return which of `rows` (n,) pass a filter, (n,), without a look at any other.

    Raises FilterTypeError as `matching` does.
    """
    return _matching(attributes, wanted, _Chosen(rows))


def _matching(attributes: AttributeColumns, wanted: Filter, rows: _Span | _Chosen) -> Mask:
    _check_types(attributes, wanted)

    def masks(conditions: tuple[Condition, ...]) -> Iterator[Mask]:
        for condition in conditions:
            yield _mask(attributes.field(condition.field), condition.test, rows)

    passed = np.ones(rows.count, np.bool_)
    for mask in masks(wanted.all_of):
        passed &= mask
    if wanted.any_of:
        passed &= np.logical_or.reduce(list(masks(wanted.any_of)))
    for mask in masks(wanted.none_of):
        passed &= ~mask
    return passed


def _check_types(attributes: AttributeColumns, wanted: Filter) -> None:
    groups = {"all_of": wanted.all_of, "any_of": wanted.any_of, "none_of": wanted.none_of}
    for group, conditions in groups.items():
        for position, condition in enumerate(conditions):
            field, test = attributes.field(condition.field), condition.test
            if field is None or isinstance(test, Exists):
                continue
            held = _kinds(field)
            if test.kind not in held:
                holds = " and ".join(kind.value for kind in held) or "neither texts nor numbers"
                raise FilterTypeError(
                    f"{group}[{position}].{type(test).__name__.lower()}",
                    f"is {test.kind.value}, but {condition.field!r} holds {holds}",
                )


def _kinds(field: Field) -> list[Kind]:
    held = {
        Kind.TEXT: field.texts is not None,
        Kind.TIME: field.texts is not None and field.texts.moments is not None,
        Kind.NUMBER: field.numbers is not None,
        Kind.FLAG: field.flags is not None,
    }
    return [kind for kind, is_held in held.items() if is_held]


def _mask(field: Field | None, test: Test, rows: _Span | _Chosen) -> Mask:
    if isinstance(test, Exists):
        present = np.zeros(rows.count, np.bool_)
        for postings in field.all_postings() if field is not None else ():
            present |= rows.present(postings)
        return present if test.wanted else ~present
    if field is None:
        return np.zeros(rows.count, np.bool_)
    return rows.passing(*_comparison(field, test))


def _comparison(field: Field, test: Equals | In | Range) -> tuple[Postings[Any], Hits]:
    # The types were checked: the postings of the kind are there.
    match test.kind:
        case Kind.NUMBER if field.numbers is not None:
            return field.numbers, lambda values: _compare(values, test)
        case Kind.FLAG if field.flags is not None:
            return field.flags, lambda values: _compare(values, test)
        case Kind.TEXT if field.texts is not None:
            return field.texts.postings, _text_hits(field.texts, test)
        case Kind.TIME if field.texts is not None:
            return field.texts.postings, _time_hits(field.texts, test)
    raise AssertionError(f"no postings of {test.kind}")


def _text_hits(texts: TextPostings, test: Equals | In | Range) -> Hits:
    wanted = () if isinstance(test, Range) else test.values
    codes = [code for text in wanted if (code := texts.code(str(text))) is not None]
    if len(codes) == 1:
        return lambda values: values == codes[0]
    # A writer may add codes meanwhile, but none to rows that the caller knows of.
    table = np.zeros(texts.size, np.bool_)
    table[codes] = True
    return lambda values: table[values]


def _time_hits(texts: TextPostings, test: Equals | In | Range) -> Hits:
    moments = texts.moments
    assert moments is not None  # noqa: S101 (for the type checker: the types were checked)

    def hits(values: NDArray[Any]) -> Mask:
        # Each time is compared once, or that of each value, whichever are fewer.
        times = moments[values] if len(values) < len(moments) else moments
        found: Mask = _compare(times, test) & (times != NO_MOMENT)
        return found if len(values) < len(moments) else found[values]

    return hits


def _compare(values: NDArray[Any], test: Equals | In | Range) -> Mask:
    if isinstance(test, Range):
        return _between(values, test)
    operands = list(test.values)
    if len(operands) <= (FEW_OPERANDS if len(values) > MANY_VALUES else FEWER_OPERANDS):
        hits = np.zeros(len(values), np.bool_)
        for operand in operands:
            hits |= values == operand
        return hits
    ascending = np.sort(np.array(operands, values.dtype))
    nearest = np.minimum(ascending.searchsorted(values), len(ascending) - 1)
    hits = ascending[nearest] == values
    return np.asarray(hits, np.bool_)


def _between(values: NDArray[Any], test: Range) -> Mask:
    hits = np.ones(len(values), np.bool_)
    if test.at_least is not None:
        hits &= values >= test.at_least
    if test.at_most is not None:
        hits &= values <= test.at_most
    if test.more_than is not None:
        hits &= values > test.more_than
    if test.less_than is not None:
        hits &= values < test.less_than
    return hits
