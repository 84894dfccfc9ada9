"""BM25 over a whole catalogue, exactly: words read and weighed as the server does, none left out.

As a baseline of queries it counts all words of a query. The server looks up the rarest of them.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from longtail.server.catalogue.words.segment import MOST_COUNTED
from longtail.server.ranking.words import distinct_words, key_of, rarity, saturated, words_of
from scipy import sparse

from evaluation.base.known import dense
from evaluation.task import Floats


class Words:
    """The words of I texts."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._number: dict[int, int] = {}
        counted = [Counter(map(key_of, words_of(text))) for text in texts]
        lengths = np.array([words.total() for words in counted], np.float32)
        rows = np.repeat(np.arange(len(texts)), [len(words) for words in counted])
        columns = [
            self._number.setdefault(word, len(self._number)) for words in counted for word in words
        ]
        counts = np.array([min(n, MOST_COUNTED) for words in counted for n in words.values()])
        mean = max(float(lengths.sum()), 1.0) / max(len(texts), 1)
        said = saturated(counts.astype(np.uint8), lengths[rows], mean)
        self._said = sparse.csr_matrix((said, (rows, columns)), (len(texts), len(self._number)))
        holding = np.bincount(columns, minlength=len(self._number)).astype(np.float64)
        self._rarity = rarity(holding, len(texts))

    def scores(self, queries: Sequence[str], most: int | None = None) -> Floats:
        """Return the BM25 score of each text for each query, (Q, I).

        `most`: how many words of a query count, the rarest.
        """
        known = [self._known(query, most) for query in queries]
        rows = np.repeat(np.arange(len(queries)), [len(words) for words in known])
        columns = np.array([word for words in known for word in words], np.int64)
        asked = sparse.csr_matrix(
            (self._rarity[columns], (rows, columns)), (len(queries), len(self._number))
        )
        return dense(asked @ self._said.T)

    def _known(self, query: str, most: int | None) -> list[int]:
        keys = map(key_of, distinct_words(query))
        known = [self._number[key] for key in keys if key in self._number]
        return sorted(known, key=lambda word: -self._rarity[word])[:most]
