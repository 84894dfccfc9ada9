"""An exact BM25 over the whole catalogue, as a baseline of queries: every text, every word.

Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), with the
inverse document frequency of Lucene. Chinese, which has no spaces, is taken by each two
neighbouring characters.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy import sparse

from evaluation.base.known import dense
from evaluation.task import Floats

K1, B = 1.2, 0.75
_WORDS = re.compile(r"([\u3040-\u30ff\u3400-\u9fff]+)|([^\W_\u3040-\u30ff\u3400-\u9fff]+)")


class Words:
    """The words of I texts."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._number: dict[str, int] = {}
        counted = [Counter(words_of(text)) for text in texts]
        lengths = np.array([words.total() for words in counted], np.float64)
        rows = np.repeat(np.arange(len(texts)), [len(words) for words in counted])
        columns = [
            self._number.setdefault(word, len(self._number)) for words in counted for word in words
        ]
        counts = np.array([count for words in counted for count in words.values()], np.float64)
        norm = K1 * (1 - B + B * lengths / (lengths.mean() or 1.0))
        said = counts * (K1 + 1) / (counts + norm[rows])
        self._said = sparse.csr_matrix((said, (rows, columns)), (len(texts), len(self._number)))
        holding = np.bincount(columns, minlength=len(self._number))
        self._rarity = np.log1p((len(texts) - holding + 0.5) / (holding + 0.5))

    def scores(self, queries: Sequence[str]) -> Floats:
        """Return the BM25 score of each text for each query, (Q, I)."""
        known = [
            {self._number[word] for word in words_of(query) if word in self._number}
            for query in queries
        ]
        rows = np.repeat(np.arange(len(queries)), [len(words) for words in known])
        columns = np.array([word for words in known for word in words], np.int64)
        asked = sparse.csr_matrix(
            (self._rarity[columns], (rows, columns)), (len(queries), len(self._number))
        )
        return dense(asked @ self._said.T)


def words_of(text: str) -> list[str]:
    """Return the words of a text in their order, without regard to case."""
    words: list[str] = []
    for unspaced, word in _WORDS.findall(unicodedata.normalize("NFKC", text).casefold()):
        if word or len(unspaced) == 1:
            words.append(word or unspaced)
        else:
            words += map("".join, pairwise(unspaced))
    return words
