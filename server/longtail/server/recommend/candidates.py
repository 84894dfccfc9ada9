"""What a list can be chosen from: what text and behaviour lead to, or what is popular, unlike."""

from collections.abc import Iterable, Iterator

import numpy as np
from longtail.server.catalogue.columns.columns import NO_ROW
from longtail.server.ranking.diversity import pick_diverse
from longtail.server.ranking.interest import Vector
from longtail.server.ranking.popularity import Bucket
from longtail.server.ranking.profile import Context
from longtail.server.ranking.retrieval import BEHAVIOUR_SHARE, merged
from longtail.server.recommend.context import Floats, Ints, RequestContext

# Where nothing is known to go by: popular items offered per bucket, how many of them are kept for
# being unlike each other, and how much popularity counts against unlikeness.
POPULAR_OFFERED, POPULAR_KEPT, POPULAR_TRADE_OFF = 60, 20, 0.5
# The search is widened so many times over when what was left out took too many places.
WIDER = 4


def candidate_rows(context: RequestContext, size: int) -> Ints:
    """Return the rows of up to `size` candidates and the pins.

    Of a later page, they are what is left of the first page's. Raises FilterTypeError when the
    request's filter does not fit the catalogue.
    """
    request = context.request
    if request.frozen is not None:
        return _offered(context, _rows(context, request.frozen.item_ids))
    if not context.interests:
        rows = _popular(context)
    else:
        # A query says what is wanted: what others liked besides is not near to it.
        by_behaviour = context.kind == Context.HISTORY
        rows = merged(
            size,
            _led_to(context, size) if by_behaviour else (),
            _near(context, size),
            [interest.share for interest in context.interests],
        )
    if request.pins:
        pinned = _offered(context, _rows(context, [pin.item_id for pin in request.pins]))
        rows = np.concatenate((rows, pinned[~np.isin(pinned, rows)]))
    return rows


def _near(context: RequestContext, size: int) -> list[Iterator[int]]:
    """Return for each interest the rows nearest to it, the nearest first."""
    # Each item that is left out may take a place among the nearest, but few do.
    left_out = sum(map(len, context.left_out))
    wanted = size + min(left_out, size)
    vectors = np.stack([interest.vector for interest in context.interests])
    found = context.state.index.search_each(vectors, wanted, context.scope)
    return [
        _nearest(context, vector, rows, wanted, size + left_out)
        for vector, (rows, _) in zip(vectors, found, strict=True)
    ]


def _nearest(
    context: RequestContext, vector: Vector, rows: Ints, wanted: int, most: int
) -> Iterator[int]:
    """Yield the `rows` that `wanted` nearest ones gave, then those beyond, up to the `most`."""
    yield from _not_left_out(context, rows)
    while len(rows) >= wanted and wanted < most:
        wanted = min(WIDER * wanted, most)
        rows, _ = context.state.index.search(vector, wanted, context.scope)
        # Who reads them knows those that came before.
        yield from _not_left_out(context, rows)


def _led_to(context: RequestContext, size: int) -> Iterator[int]:
    """Yield the rows that likes lead to most strongly, the strongest first."""
    scores, ids = context.scores, context.behaviour.ids
    strength, block = scores.values[0], 2 * int(size * BEHAVIOUR_SHARE)
    order = _strongest(strength, block)
    for start in range(0, len(strength), block):
        # Few of the best may be offered to this request.
        if start == block:
            order = np.argsort(-strength, kind="stable")
        numbers = scores.numbers[order[start : start + block]]
        rows = _rows(context, [ids[number] for number in numbers.tolist()])
        rows = rows[rows != NO_ROW]
        yield from _not_left_out(context, rows[context.scope.passes(rows)])


def _strongest(strength: Floats, count: int) -> Ints:
    """Return the positions of the `count` largest, the largest first, the earlier of equals."""
    if len(strength) <= count:
        return np.argsort(-strength, kind="stable")
    least = np.partition(strength, -count)[-count]
    among = np.flatnonzero(strength >= least)
    order: Ints = among[np.argsort(-strength[among], kind="stable")][:count]
    return order


def _popular(context: RequestContext) -> Ints:
    state, scale = context.state, context.popularity
    kept = max(POPULAR_KEPT, context.request.page_size)
    offered = max(POPULAR_OFFERED, 3 * kept)
    allowed = context.scope.mask().copy()
    for ids in context.left_out:
        # Persons do more meanwhile.
        absent = _rows(context, list(ids))
        allowed[absent[absent != NO_ROW]] = False
    chosen: list[Ints] = []
    for bucket in Bucket:
        rows = state.popularity.most_popular(allowed, scale, bucket, offered)
        if len(rows):
            worth = np.log1p(state.columns.mass(rows))
            vectors = state.index.vectors(rows)
            chosen.append(rows[pick_diverse(vectors, worth, kept, POPULAR_TRADE_OFF)])
    return np.concatenate(chosen) if chosen else np.empty(0, np.int64)


def _rows(context: RequestContext, item_ids: Iterable[str]) -> Ints:
    return context.state.columns.rows_at(item_ids, context.scope.revision)


def _offered(context: RequestContext, rows: Ints) -> Ints:
    """Return those of `rows` (n,), NO_ROW among them, that may be recommended."""
    rows = rows[rows != NO_ROW]
    return np.fromiter(_not_left_out(context, rows[context.scope.passes(rows)]), np.int64)


def _not_left_out(context: RequestContext, rows: Ints) -> Iterator[int]:
    ids, left_out = context.state.columns.ids, context.left_out
    if not left_out:
        return iter(rows.tolist())
    # Mostly what was seen alone.
    first, *others = left_out
    return (
        row
        for row in rows.tolist()
        if (item_id := ids[row]) not in first and not any(item_id in each for each in others)
    )
