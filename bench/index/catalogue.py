"""What the items of the bench are filtered by."""

import re
from collections.abc import Sequence

import numpy as np
from longtail.server.catalogue.columns.filter import Condition, Equals, Filter, Kind, Range
from longtail.server.store.records import ItemContent

from bench.context import Matrix
from bench.figures import NotRun
from bench.index.exact import Mask
from bench.texts import SEED, Catalogue

# What the filters match, as shares of the catalogue; a word may be so much rarer or more frequent.
SHARES, _TOLERANCE = (0.5, 0.1, 0.01, 0.001), 1.25
_DRAW, _WORDS = "draw", "words"
_WORD = re.compile(r"[a-z]{2,}")


class Attributes:
    """A random number below 1 of each item (n,), and which of them have which of some words.

    Of the words that are as frequent as a share, that one stands for it whose items are most alike:
    what it matches lies together, and most queries come from elsewhere.
    """

    def __init__(self, known: Catalogue, vectors: Matrix) -> None:
        """Choose for items with unit `vectors` (n, d); raise NotRun when no word is as frequent."""
        self._known = known
        self.draws = np.random.default_rng(SEED + 2).random(len(known.ids))
        rows_of: dict[str, list[int]] = {}
        for row, text in enumerate(known.texts):
            for word in set(_WORD.findall(text.lower())):
                rows_of.setdefault(word, []).append(row)
        self.words: dict[float, str] = {}
        self.having: dict[str, Mask] = {}
        for share in SHARES:
            wanted = share * len(known.ids)
            near = [
                word
                for word, rows in rows_of.items()
                if wanted / _TOLERANCE <= len(rows) <= wanted * _TOLERANCE
            ]
            if not near:
                raise NotRun(f"no word stands in about {share:.1%} of the texts")
            alike = {word: np.linalg.norm(vectors[rows_of[word]].mean(axis=0)) for word in near}
            word = self.words[share] = max(near, key=lambda word: float(alike[word]))
            self.having[word] = np.zeros(len(known.ids), np.bool_)
            self.having[word][rows_of[word]] = True

    def contents(self, rows: Sequence[int]) -> list[ItemContent]:
        """Return the items at `rows` with their attributes, as the store keeps them."""
        known = self._known
        return [
            ItemContent(
                id=known.ids[row],
                title="",
                text=known.texts[row],
                attributes={
                    _DRAW: float(self.draws[row]),
                    _WORDS: [word for word, has in self.having.items() if has[row]],
                },
                prior=known.priors[row],
            )
            for row in rows
        ]

    def filters(self, share: float) -> tuple[tuple[Filter, Mask], tuple[Filter, Mask]]:
        """Return what matches about a share of the items, and which (n,): at random, by a word."""
        word = self.words[share]
        draw = Condition(_DRAW, Range(Kind.NUMBER, less_than=share))
        has = Condition(_WORDS, Equals(Kind.TEXT, word))
        return (
            (Filter(all_of=(draw,)), self.draws < share),
            (Filter(all_of=(has,)), self.having[word]),
        )
