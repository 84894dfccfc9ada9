"""Rows by the words that they hold, the best first by BM25: words beside the vectors' meaning.

What was written last stands in a short tail, which is sorted into a segment when it is full, and
segments of like size are merged, as in a log-structured tree. Nothing that a search can see is ever
changed, so searches take no lock. How many items hold a word is counted at the request's revision,
so the same revision gives the same scores, however the rows are kept.
"""

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from longtail.server.catalogue.columns.columns import Columns
from longtail.server.catalogue.columns.growing import GROWTH, GrowingArray
from longtail.server.catalogue.kept_results import KeptResults
from longtail.server.catalogue.scope import Scope
from longtail.server.catalogue.words.segment import (
    MOST_COUNTED,
    Counts,
    Ints,
    Keys,
    Mask,
    Posted,
    Rows,
    Segment,
    merged,
)
from longtail.server.catalogue.words.word_search import Floats, Sought
from longtail.server.catalogue.words.words_file import KeptWords
from longtail.server.ranking.words import key_of, rarity, saturated, words_of
from numpy.typing import NDArray

Scores = NDArray[np.float32]
_Key = tuple[int, tuple[str, ...]]

# Postings of the tail, which is compared as a whole for each word.
TAIL = 1 << 13
# Who writes merges segments up to so many postings, for which nobody waits long.
MERGED_AT_ONCE = 1 << 18
# Words of a query that are looked up, the rarest, and the postings that are read for it: beyond,
# those of more common words count only for what was found by then.
MOST_WORDS, MOST_POSTINGS = 128, 1 << 14
# So many times what is asked for is found where words are left to be counted.
WIDER = 4
# Found beyond what is asked for, in place of what may not be recommended.
SPARE = 16
# Results that are kept, the latest, and how large each may be: 50 MB at most.
KEPT_RESULTS, LARGEST_KEPT = 4096, 512


@dataclass(frozen=True)
class _Layers:
    """Segments, none of which share a row, and after them the postings of the tail, (t,) each."""

    segments: tuple[Segment, ...]
    keys: GrowingArray[np.uint64]
    rows: GrowingArray[np.int32]
    counts: GrowingArray[np.uint8]

    @classmethod
    def over(cls, *segments: Segment) -> "_Layers":
        keys, rows = GrowingArray.empty(np.uint64), GrowingArray.empty(np.int32)
        return cls(segments, keys, rows, GrowingArray.empty(np.uint8))

    def posted(self, keys: Keys) -> list[list[Posted]]:
        """Return the postings of each of `keys` (m,)."""
        found: list[list[Posted]] = [[] for _ in keys]
        for segment in self.segments:
            for of_word, posted in zip(found, segment.posted(keys), strict=True):
                if posted is not None:
                    of_word.append(posted)
        # The rows are read first, since they are written last.
        rows = self.rows.values
        written, counts = self.keys.values[: len(rows)], self.counts.values
        for of_word, key in zip(found, keys, strict=True):
            at = (written == key).nonzero()[0]
            if len(at):
                of_word.append(Posted(rows[at], counts[at]))
        return found


class WordIndex:
    """Words by row of `columns`, and the search for them. One thread appends, any number search."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._layers = _Layers.over()
        # Words of each row; rows that are current, and their words together; rows that died since.
        self._lengths = GrowingArray.empty(np.float32)
        self._size = 0, 0
        self._dead = 0
        self._scratch = threading.local()
        self._kept = KeptResults[_Key, tuple[int, Sought]](KEPT_RESULTS)

    @classmethod
    def of(cls, kept: KeptWords, columns: Columns) -> "WordIndex":
        """Return the words that were `kept` of all rows of `columns`."""
        index = cls(columns)
        index._layers = _Layers.over(kept.segment)
        index._lengths = kept.lengths
        index._count_current()
        return index

    def append(self, texts: Sequence[str]) -> None:
        """Add the words of `texts` (n,), one at least, as those of the next rows."""
        start = self._lengths.count
        lengths: list[int] = []
        keys: list[Keys] = []
        counts: list[NDArray[np.uint8]] = []
        # One text at a time: to free the words of many long ones takes the interpreter for long.
        for text in texts:
            words = words_of(text)
            counted = Counter(map(key_of, words))
            lengths.append(len(words))
            keys.append(np.fromiter(counted, np.uint64, len(counted)))
            most = (min(count, MOST_COUNTED) for count in counted.values())
            counts.append(np.fromiter(most, np.uint8, len(counted)))
        self._lengths.append(lengths)
        layers = self._layers
        layers.keys.append(np.concatenate(keys))
        layers.counts.append(np.concatenate(counts))
        sizes = [len(each) for each in keys]
        places = np.repeat(np.arange(start, start + len(texts), dtype=np.int32), sizes)
        layers.rows.append(places)
        items, total = self._size
        self._size = items + len(texts), total + sum(lengths)
        if layers.rows.count >= TAIL:
            self._layers = _sealed(layers)

    def forget(self, row: int) -> None:
        """Leave a row out of account that dies."""
        items, total = self._size
        self._dead += 1
        self._size = items - 1, total - int(self._lengths.values[row])

    def take(self, rows: Ints, columns: Columns) -> "WordIndex":
        """Return a new index (n,) with the words of `rows` (n,) that are current, of `columns`.

        These are the columns that were taken so. Must not run beside a change.
        """
        taken = WordIndex(columns)
        current = np.flatnonzero(columns.live())
        new_row = np.full(self._lengths.count, -1, np.int32)
        new_row[rows[current]] = current
        taken._layers = _Layers.over(merged(_sealed(self._layers).segments, new_row))
        taken._lengths = self._lengths.take(rows, 0)
        taken._count_current()
        return taken

    def kept(self, rows: Ints) -> KeptWords:
        """Return the words of `rows` (n,), -1 for none, to be kept. Others may be appended."""
        segments = _sealed(self._layers).segments
        new_row = np.full(self._lengths.count, -1, np.int32)
        held = np.flatnonzero(rows >= 0)
        new_row[rows[held]] = held
        return KeptWords(merged(segments, new_row), self._lengths.take(rows, 0))

    def over(self, kept: KeptWords, rows: Ints, columns: Columns) -> "WordIndex":
        """Return what `take` does, where the words of the first of `rows` were `kept`.

        What was kept may have died since.
        """
        count = kept.lengths.count
        late = self.kept(np.concatenate((np.full(count, -1), rows[count:])))
        whole = WordIndex(columns)
        whole._layers = _Layers.over(kept.segment, late.segment)
        whole._lengths = kept.lengths
        whole._lengths.append(late.lengths.values[count:])
        whole._count_current()
        whole._dead = int(np.count_nonzero(columns.are_former()[:count]))
        return whole

    def search(self, words: Sequence[str], k: int, scope: Scope) -> Sought:
        """Return what `WordSearch.search` does."""
        if scope.filter is not None:
            return self._search(words, k, scope, scope.mask())
        # A power of two: people who have seen more or less ask for the same.
        asked = 1 << (k + SPARE - 1).bit_length()
        found = self._known(words, asked, scope)
        passing = scope.passes(found.rows)
        if len(found.rows) >= asked and np.count_nonzero(passing) < k:
            return self._search(words, k, scope, scope.mask())
        rows, scores = found.rows[passing][:k], found.scores[passing][:k]
        return found._replace(rows=rows, scores=scores)

    def parts(self, sought: Sought, rows: Ints) -> Floats:
        """Return what `WordSearch.parts` does."""
        added = np.zeros((len(sought.words), len(rows)))
        wanted = rows.astype(np.int32)
        # Where a word is held, and how often: of all words together, for they are few each.
        places, holding, counts = list[Ints](), list[Rows](), list[Counts]()
        for number, posted in enumerate(self._layers.posted(sought.keys)):
            for each in posted:
                there, at = each.among(wanted)
                places.append(number * len(rows) + there)
                holding.append(wanted[there])
                counts.append(each.counts[at])
        if places:
            at = np.concatenate(places)
            held = Posted(np.concatenate(holding), np.concatenate(counts))
            said = self._saturated(held, sought.mean_length)
            added.reshape(-1)[at] = sought.weights[at // len(rows)] * said
        return added

    def _count_current(self) -> None:
        live = self._columns.live()
        total = self._lengths.values[live].sum(dtype=np.int64)
        self._size = int(np.count_nonzero(live)), int(total)

    def _known(self, words: Sequence[str], k: int, scope: Scope) -> Sought:
        """Return what `_search` does, as it was found before if no item has changed since."""
        changed = self._columns.changed
        if k > LARGEST_KEPT or changed > scope.revision:
            return self._search(words, k, scope, None)
        key = k, tuple(words)
        [known] = self._kept.get([key])
        if known is not None and known[0] == changed:
            return known[1]
        found = self._search(words, k, scope, None)
        if self._columns.changed == changed:
            self._kept.put([key], [(changed, found)])
        return found

    def _search(self, words: Sequence[str], k: int, scope: Scope, mask: Mask | None) -> Sought:
        """Return the `k` best of the rows that are current in `scope` and in `mask`."""
        items, total = self._size
        keys = np.fromiter(map(key_of, words), np.uint64, len(words))
        posted = [self._current(each, scope) for each in self._layers.posted(keys)]
        holding = [sum(len(each.rows) for each in of_word) for of_word in posted]
        rarest = sorted((held, words[at], at) for at, held in enumerate(holding) if held)
        chosen = [at for _, _, at in rarest[:MOST_WORDS]]
        sought = Sought(
            words=tuple(words[at] for at in chosen),
            keys=keys[chosen],
            weights=rarity(np.array([holding[at] for at in chosen]), items),
            mean_length=max(total, 1) / max(items, 1),
            rows=np.empty(0, np.int64),
            scores=np.empty(0),
        )
        if not chosen or not k:
            return sought
        rows, scores = self._best(sought, [posted[at] for at in chosen], k, mask, scope.rows)
        return sought._replace(rows=rows, scores=scores)

    def _best(
        self,
        sought: Sought,
        posted: Sequence[Sequence[Posted]],
        k: int,
        mask: Mask | None,
        rows: int,
    ) -> tuple[Ints, Floats]:
        """Return the `k` best of the first `rows` rows that are `posted`, and their scores."""
        scores = self._zeros(rows)
        read: list[Rows] = []
        left, whole = MOST_POSTINGS, 0
        try:
            for weight, of_word in zip(sought.weights, posted, strict=True):
                left -= sum(len(each.rows) for each in of_word)
                if whole and left < 0:
                    break
                whole += 1
                for each in of_word:
                    kept = each if mask is None else each.where(mask[each.rows])
                    read.append(kept.rows)
                    scores[kept.rows] += weight * self._saturated(kept, sought.mean_length)
        finally:
            found = _taken(read, scores)
        if whole == len(posted):
            return _leading(*found, k)
        places, best = _leading(*found, WIDER * k)
        for weight, of_word in zip(sought.weights[whole:], posted[whole:], strict=True):
            for each in of_word:
                there, at = each.among(places.astype(np.int32))
                best[there] += weight * self._saturated(each.where(at), sought.mean_length)
        return _leading(places, best, k)

    def _current(self, posted: Sequence[Posted], scope: Scope) -> list[Posted]:
        """Return what of the postings of a word is current at the revision of `scope`."""
        found = []
        for each in posted:
            if each.rows[-1] >= scope.rows:
                each = each.where(each.rows < scope.rows)
            if self._dead:
                each = each.where(
                    self._columns.are_visible(each.rows.astype(np.int64), scope.revision)
                )
            found.append(each)
        return found

    def _saturated(self, posted: Posted, mean_length: float) -> Scores:
        return saturated(posted.counts, self._lengths.values[posted.rows], mean_length)

    def _zeros(self, rows: int) -> Scores:
        """Return at least `rows` zeros, which whoever changes them brings back to zero."""
        zeros: Scores | None = getattr(self._scratch, "zeros", None)
        if zeros is None or len(zeros) < rows:
            # In place of the last rows there will be more.
            zeros = self._scratch.zeros = np.zeros(int(GROWTH * rows) + 1, np.float32)
        return zeros


def _taken(read: Sequence[Rows], scores: Scores) -> tuple[Ints, Floats]:
    """Return the rows that were `read`, each once, and their scores, which are brought to zero."""
    rows, values = [np.empty(0, np.int32)], [np.empty(0, np.float32)]
    for each in read:
        of_each = scores[each]
        scores[each] = 0
        # What was read for another word too is zero by now.
        new = np.flatnonzero(of_each)
        rows.append(each[new])
        values.append(of_each[new])
    return np.concatenate(rows).astype(np.int64), np.concatenate(values).astype(np.float64)


def _leading(rows: Ints, scores: Floats, k: int) -> tuple[Ints, Floats]:
    """Return the `k` best of `rows` (n,) and their scores, the best first, then in their order."""
    if len(rows) > k:
        bar = np.partition(scores, -k)[-k]
        above, equal = np.flatnonzero(scores > bar), np.flatnonzero(scores == bar)
        room = k - len(above)
        if room < len(equal):
            equal = equal[np.argpartition(rows[equal], room)[:room]]
        among = np.concatenate((above, equal))
        rows, scores = rows[among], scores[among]
    order = np.lexsort((rows, -scores))
    return rows[order], scores[order]


def _sealed(layers: _Layers) -> _Layers:
    """Return the same postings without a tail, and in fewer segments where that takes no time."""
    # The rows are read first, since they are written last.
    rows = layers.rows.values
    tail = Segment.of(layers.keys.values[: len(rows)], rows, layers.counts.values[: len(rows)])
    segments = [*layers.segments, tail]
    while (
        len(segments) > 1
        and len(segments[-2]) < 2 * len(segments[-1])
        and len(segments[-2]) + len(segments[-1]) <= MERGED_AT_ONCE
    ):
        segments[-2:] = [merged(segments[-2:])]
    return _Layers.over(*segments)
