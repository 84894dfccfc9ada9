"""What a list can be chosen from: what text, words and behaviour lead to, or popular, unlike."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, compress, islice
from operator import not_

import numpy as np
from longtail.server.catalogue.columns.columns import NO_ROW, Mask
from longtail.server.catalogue.index.vector_index import VectorIndex
from longtail.server.catalogue.spaces.space import Space
from longtail.server.ranking.diversity import pick_diverse
from longtail.server.ranking.interest import Matrix, Vector
from longtail.server.ranking.popularity import Bucket
from longtail.server.ranking.profile import Context
from longtail.server.ranking.retrieval import Sources, fused, merged
from longtail.server.recommend.context import Floats, Ints, RequestContext
from longtail.server.recommend.scoring import rule_factors
from longtail.server.recommend.shares import shares_of_interests, shares_of_spaces
from numpy.typing import NDArray

# Where nothing is known to go by: popular items offered per bucket, how many of them are kept for
# being unlike each other, and how much popularity counts against unlikeness.
POPULAR_OFFERED, POPULAR_KEPT, POPULAR_TRADE_OFF = 60, 20, 0.5
# The most popular are looked at so many at a time.
POPULAR_BLOCK = 128
# The search is widened so many times over when what was left out took too many places.
WIDER = 4
# A space beside the texts' is searched for so many times what it may propose: others propose some
# of it too.
AHEAD = 2
# It is, too, when less than this share is left without copies, up to so many rows.
ENOUGH, WIDEST = 0.5, 3200


@dataclass(frozen=True)
class Found:
    """What n candidates are found in: `rows` (n,), and their `vectors` (n, d).

    `copies`: items were left out for being the same as a candidate.
    """

    rows: Ints
    vectors: Matrix
    copies: bool = False


def find(context: RequestContext, size: int, sources: Sources) -> Found:
    """Return up to `size` candidates and the pins; of those that are the same, one.

    `sources` says what each of them may propose where there is a history alone, and what words
    count where there is a query.

    Of a later page, they are what is left of the first page's. Raises FilterTypeError when the
    request's filter does not fit the catalogue.
    """
    request, index = context.request, context.state.index
    if request.frozen is not None:
        rows = _offered(context, _rows(context, request.frozen.item_ids))
        return Found(rows, index.vectors(rows))
    pinned = led = np.empty(0, np.int64)
    if request.pins:
        pinned = _offered(context, _rows(context, [pin.item_id for pin in request.pins]))
    shares = shares_of_interests(context, sources)
    # What vectors may propose.
    best_known, of_vectors = 0, size
    if context.kind == Context.HISTORY:
        # A query says what is wanted: what others liked besides is not near to it.
        of_behaviour, of_popularity = sources.rooms(size)
        led_to = chain.from_iterable(_led_to(context, of_behaviour))
        led = np.fromiter(islice(led_to, of_behaviour), np.int64)
        # What behaviour proposes too takes no place of theirs.
        best_known = of_behaviour + of_popularity
        of_vectors = size - best_known

    def popular() -> Iterator[int]:
        # Most of them are not looked at.
        return islice(chain.from_iterable(_best_known(context)), best_known)

    most = size
    while True:
        texts, worded = _near(context, most) if context.interests else ([], [])
        beside = _near_beside(context, most, of_vectors, sources)
        near = [*_with_words(texts, worded, most, sources.words), *beside]
        if near:
            rows = merged(most, sources, led.tolist(), popular(), near, shares)
        else:
            rows = _popular(context)
        if len(pinned):
            rows = np.concatenate((rows, pinned[~np.isin(pinned, rows)]))
        vectors = index.vectors(rows)
        if request.allow_copies:
            return Found(rows, vectors)
        kept = _without_copies(context, rows, vectors, pinned, led)
        if len(kept) == len(rows):
            return Found(rows, vectors, any(each.have_copies for each in (*texts, *beside)))
        if not near or len(kept) >= ENOUGH * size or len(rows) < most or most >= WIDEST:
            break
        # They are so near to the rest that hardly anything else was found.
        most = min(WIDER * most, WIDEST)
    rows, vectors = rows[kept], vectors[kept]
    if most > size:
        among = frozenset(rows.tolist())
        near = [*_with_words(texts, worded, size, sources.words), *beside]
        drawn = merged(
            size,
            sources,
            filter(among.__contains__, led.tolist()),
            filter(among.__contains__, popular()),
            [filter(among.__contains__, found) for found in near],
            shares,
        )
        rows = np.concatenate((drawn, pinned[~np.isin(pinned, drawn)]))
        vectors = index.vectors(rows)
    return Found(rows, vectors, copies=True)


def _with_words(
    texts: Sequence[Iterable[int]], worded: Sequence[int], size: int, share: float
) -> Sequence[Iterable[int]]:
    """Return `texts`, of which a query has one, with what holds its words where that is due.

    `share`: see Sources.words.
    """
    return [fused(near, worded, size, share) for near in texts] if worded else texts


def _without_copies(
    context: RequestContext, rows: Ints, vectors: Matrix, pinned: Ints, led: Ints
) -> Ints:
    """Return the positions in `rows` (n,) of the pins and of one of those that are the same each.

    What is pinned stands for its copies, then what likes lead to, then what is preferred.
    """
    leading = context.state.index.leaders(rows, vectors)
    if (leading == np.arange(len(rows))).all():
        return leading
    source = np.full(len(rows), 2)
    if len(led):
        source[np.isin(rows, led)] = 1
    kept = np.zeros(len(rows), np.bool_)
    if len(pinned):
        kept[np.isin(rows, pinned)] = True
        source[kept] = 0
    order = np.lexsort((*_preference(context, rows), source, leading))
    leading = leading[order]
    kept[order[0]] = True
    kept[order[1:][leading[1:] != leading[:-1]]] = True
    return kept.nonzero()[0]


def _preference(context: RequestContext, rows: Ints) -> tuple[NDArray[np.generic], ...]:
    """Return the keys (n,) by which one of several equal `rows` (n,) is preferred, the last first.

    What rules favour, then what has the least penalty. Pure relevance prefers the most popular
    then; otherwise the least popular has its place. Then what was written first.
    """
    columns, request = context.state.columns, context.request
    mass = columns.mass(rows)
    popularity = mass if request.policy.gives_to_tail else -mass
    keys = columns.born[rows], popularity, columns.penalty(rows, context.scope.now)
    if not request.odds_rules:
        return keys
    ids = columns.ids.of_each(rows.tolist())
    return (*keys, -rule_factors(request.odds_rules, context.scope, ids, rows))


class _Nearest:
    """The rows nearest to an interest, the nearest first, read as far as they are needed.

    `first` of them are known, of `wanted` that were searched for; up to the `most` can be.
    `have_copies`: of what was read, some stand for others.
    """

    def __init__(
        self,
        context: RequestContext,
        index: VectorIndex | Space,
        vector: Vector,
        first: Ints,
        wanted: int,
        most: int,
        *,
        once: bool,
    ) -> None:
        self.have_copies = False
        self._once = once
        self._context = context
        self._index = index
        self._vector = vector
        self._first = first
        self._wanted = wanted
        self._most = most

    def __iter__(self) -> Iterator[int]:
        known = _not_left_out(self._context, self._first[self._first != NO_ROW])
        # Who reads them knows those that came before.
        return chain(known, chain.from_iterable(self._further()))

    def _further(self) -> Iterator[Iterator[int]]:
        context, index, wanted = self._context, self._index, self._wanted
        standing = not context.request.allow_copies
        fetched = len(self._first)
        while fetched >= wanted and wanted < self._most:
            wanted = min(WIDER * wanted, self._most)
            rows, _ = index.search(self._vector, wanted, context.scope, once=self._once)
            fetched = len(rows)
            if standing:
                [rows], have_copies = _standing(context, [rows])
                self.have_copies |= have_copies
            yield _not_left_out(context, rows[rows != NO_ROW])


def _near(context: RequestContext, size: int) -> tuple[list[_Nearest], list[int]]:
    """Return the rows nearest to each interest, and those with the words of the query, best first.

    Of rows that are copies of each other there is one, in either.
    """
    # Each item that is left out may take a place among the nearest, but few do.
    left_out = sum(map(len, context.left_out))
    wanted = size + min(left_out, size)
    vectors = np.array([interest.vector for interest in context.interests])
    once = not context.request.allow_copies
    searched = context.state.index.search_each(vectors, wanted, context.scope, once=once)
    found, have_copies = [rows for rows, _ in searched], False
    if context.sought is not None:
        found.append(context.sought.rows)
    if once:
        found, have_copies = _standing(context, found)
    nearest = [
        _Nearest(context, context.state.index, vector, rows, wanted, size + left_out, once=once)
        for vector, rows in zip(vectors, found, strict=False)
    ]
    nearest[0].have_copies = have_copies
    if context.sought is None:
        return nearest, []
    return nearest, list(_not_left_out(context, found[-1][found[-1] != NO_ROW]))


def _near_beside(
    context: RequestContext, size: int, of_vectors: int, sources: Sources
) -> list[_Nearest]:
    """Return the rows nearest to each interest in a space beside the texts', as `_near` does."""
    nearest: list[_Nearest] = []
    if not context.beside:
        return nearest
    left_out = sum(map(len, context.left_out))
    _, *shares = shares_of_spaces(context, sources)
    for each, share in zip(context.beside, shares, strict=True):
        if not each.proposes:
            continue
        # The same image does not make two items the same.
        once = not context.request.allow_copies and each.space.declared is None
        room = max(1, min(size, round(AHEAD * of_vectors * share * each.shares[0])))
        wanted, most = room + min(left_out, room), size + left_out
        searched = each.space.search_each(each.directions, wanted, context.scope, once=once)
        found, have_copies = [rows for rows, _ in searched], False
        if not context.request.allow_copies:
            found, have_copies = _standing(context, found)
        of_space = [
            _Nearest(context, each.space, vector, rows, wanted, most, once=once)
            for vector, rows in zip(each.directions, found, strict=True)
        ]
        of_space[0].have_copies = have_copies
        nearest += of_space
    return nearest


def _standing(context: RequestContext, found: list[Ints]) -> tuple[list[Ints], bool]:
    """Return for rows, each (n,), what stands for the copies of each, and whether there are any.

    That is the one that is preferred of those that may be recommended, NO_ROW where there is none.
    """
    copied = context.state.index.copies
    rows = np.concatenate(found)
    shared = copied.are_shared(rows).nonzero()[0]
    if not len(shared):
        return found, False
    copies, owners = copied.of(rows[shared])
    free = context.scope.passes(copies)
    free[free] = _are_not_left_out(context, copies[free])
    copies, owners = copies[free], owners[free]
    order = np.lexsort((*_preference(context, copies), owners))
    copies, owners = copies[order], owners[order]
    first = np.ones(len(owners), np.bool_)
    np.not_equal(owners[1:], owners[:-1], out=first[1:])
    having = owners[first]
    rows[shared] = NO_ROW
    rows[shared[having]] = copies[first]
    ends = list(accumulate(map(len, found)))
    standing = [rows[end - len(each) : end] for each, end in zip(found, ends, strict=True)]
    return standing, len(copies) > len(having)


def _best_known(context: RequestContext) -> Iterator[Iterator[int]]:
    """Yield the most popular rows, some at a time, as far as WIDEST of them.

    All others may be filtered out.
    """
    ranked = context.state.popularity.ranked(WIDEST)
    for start in range(0, len(ranked), POPULAR_BLOCK):
        rows = ranked[start : start + POPULAR_BLOCK]
        yield _not_left_out(context, rows[context.scope.passes(rows)])


def _led_to(context: RequestContext, wanted: int) -> Iterator[Iterator[int]]:
    """Yield the rows that likes lead to most strongly, some at a time, the strongest first."""
    led, ids = context.led, context.behaviour.ids
    scores = led.scores
    strength, block = scores.values[0], max(1, 2 * wanted)
    for start in range(0, len(strength), block):
        rows = None if start else led.first.get(block)
        if rows is None:
            # Few of the best may be offered to this request.
            order = np.argsort(-strength, kind="stable") if start else _strongest(strength, block)
            numbers = scores.numbers[order[start : start + block]]
            rows = _rows(context, [ids[number] for number in numbers.tolist()])
            rows = rows[rows != NO_ROW]
            if not start:
                led.keep_first(block, rows)
        yield _not_left_out(context, rows[context.scope.passes(rows)])


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
        most = offered
        while True:
            found = state.popularity.most_popular(allowed, scale, bucket, most)
            rows = found
            if not context.request.allow_copies:
                _, first = np.unique(state.index.copies.first(found), return_index=True)
                rows = found[np.sort(first)]
            if len(rows) >= kept or len(found) < most or most >= WIDEST:
                break
            most = min(WIDER * most, WIDEST)
        if len(rows):
            rows = rows[:offered]
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
    numbers = rows.tolist()
    return compress(numbers, _kept(context, numbers)) if context.left_out else iter(numbers)


def _are_not_left_out(context: RequestContext, rows: Ints) -> Mask:
    if not context.left_out:
        return np.ones(len(rows), np.bool_)
    return np.fromiter(_kept(context, rows.tolist()), np.bool_, len(rows))


def _kept(context: RequestContext, rows: list[int]) -> Iterator[bool]:
    item_ids = context.state.columns.ids.of_each(rows)
    if len(context.left_out) == 1:
        # Mostly what was seen alone: without a step of Python's for each row.
        [left_out] = context.left_out
        return map(not_, map(left_out.__contains__, item_ids))
    return (not any(item_id in each for each in context.left_out) for item_id in item_ids)
