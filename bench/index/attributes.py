"""What the items are filtered by: a random number, and words that their texts have or lack."""

import re
from dataclasses import dataclass

import numpy as np
from longtail.server.catalogue.columns.filter import Condition, Equals, Filter, Kind, Range
from longtail.server.store.records import ItemContent
from numpy.typing import NDArray

from bench.figures import NotRun
from bench.index.catalogue import Catalogue
from bench.texts import SEED

Matrix = NDArray[np.float32]
Mask = NDArray[np.bool_]

# What the filters match, as shares of the catalogue.
SHARES = (0.5, 0.1, 0.01, 0.001)
# A word may be so much rarer or more frequent than the share that it stands for.
TOLERANCE = 1.25
DRAW, WORDS = "draw", "words"
_WORD = re.compile(r"[a-z]{2,}")


@dataclass(frozen=True)
class Attributes:
    """A random number below 1 of each item (n,), and which items have which of the words.

    `words[share]` is the word that stands for a share of the items.
    """

    draws: NDArray[np.float64]
    words: dict[float, str]
    having: dict[str, Mask]

    def contents(self, catalogue: Catalogue) -> list[ItemContent]:
        """Return the items with their attributes, as the store keeps them."""
        draws = self.draws.tolist()
        return [
            ItemContent(
                id=item_id,
                title="",
                text=catalogue.texts[row],
                attributes={
                    DRAW: draws[row],
                    WORDS: [word for word, has in self.having.items() if has[row]],
                },
                prior=catalogue.priors[row],
            )
            for row, item_id in enumerate(catalogue.ids)
        ]

    def taken(self, rows: NDArray[np.int64]) -> "Attributes":
        """Return the attributes of the items at `rows` (n,)."""
        having = {word: has[rows] for word, has in self.having.items()}
        return Attributes(self.draws[rows], self.words, having)

    def at_random(self, share: float) -> tuple[Filter, Mask]:
        """Return a filter that matches about a share of the items at random, and which, (n,)."""
        test = Range(Kind.NUMBER, less_than=share)
        return Filter(all_of=(Condition(DRAW, test),)), self.draws < share

    def by_word(self, share: float) -> tuple[Filter, Mask]:
        """Return a filter that matches about a share of the items by a word, and which, (n,)."""
        word = self.words[share]
        return Filter(all_of=(Condition(WORDS, Equals(Kind.TEXT, word)),)), self.having[word]


def attributes_of(catalogue: Catalogue, vectors: Matrix) -> Attributes:
    """Draw and choose the attributes of a catalogue with unit `vectors` (n, d).

    Of the words that are as frequent as is wanted, that one is taken whose items are most alike:
    what it matches lies together, and most queries come from elsewhere. Raises NotRun when no word
    is as frequent.
    """
    rows_of: dict[str, list[int]] = {}
    for row, text in enumerate(catalogue.texts):
        for word in set(_WORD.findall(text.lower())):
            rows_of.setdefault(word, []).append(row)
    words: dict[float, str] = {}
    for share in SHARES:
        wanted = share * len(catalogue.ids)
        near = [
            word
            for word, rows in rows_of.items()
            if wanted / TOLERANCE <= len(rows) <= wanted * TOLERANCE
        ]
        if not near:
            raise NotRun(f"no word stands in about {share:.1%} of the texts")
        words[share] = max(
            near, key=lambda word: float(np.linalg.norm(vectors[rows_of[word]].mean(axis=0)))
        )
    having: dict[str, Mask] = {}
    for word in words.values():
        having[word] = np.zeros(len(catalogue.ids), np.bool_)
        having[word][rows_of[word]] = True
    draws = np.random.default_rng(SEED + 2).random(len(catalogue.ids))
    return Attributes(draws, words, having)
