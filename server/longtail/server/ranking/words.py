"""The words of a text, and what they weigh: BM25 (Robertson and Zaragoza, 2009), in any script.

Scripts that put spaces between words are taken word by word; those that do not, such as Chinese,
Japanese and Thai, by each two neighbouring characters, as Lucene's CJK analyser does.
"""

import re
import unicodedata
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Lengths = NDArray[np.float32]

# BM25: how soon a word that repeats says no more, and how much the length of a text counts.
K1, B = 1.2, 0.75

# Scripts without spaces between words; Korean, whose words take on endings, is read like them.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3040-\u312f"
    "\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
# Signs that belong to the letter before them but are no letters to `re`: accents, and the vowels
# and points of Hebrew, Arabic and the scripts of India.
_MARKS = (
    "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u0900-\u0963"
    "\u0970-\u0dff"
)
# What one letter after an apostrophe says, as in "Andy's", is grammar.
_ASCII = re.compile(r"(?<!')[a-z0-9]+|(?<=')[a-z0-9]{2,}")
_ANY = re.compile(
    rf"([{_UNSPACED}]+)|((?<!')(?:[^\W_{_UNSPACED}]|[{_MARKS}])+|(?<=')[^\W_{_UNSPACED}]{{2,}})"
)
# Shorter words that end with an s are hardly plurals.
SHORTEST_PLURAL = 4
# Words of texts repeat; so many are known at a time, in about 10 MB.
_KNOWN = 1 << 16


def words_of(text: str) -> list[str]:
    """Return the words of a text in their order, those that repeat too, normalised (NFKC, case)."""
    if text.isascii():
        return _ASCII.findall(text.lower())
    folded = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    words: list[str] = []
    for unspaced, word in _ANY.findall(folded):
        if word:
            words.append(word)
        elif len(unspaced) == 1:
            words.append(unspaced)
        else:
            words += map("".join, pairwise(unspaced))
    return words


# Lucene's English stop words.
_GRAMMAR = frozenset(
    words_of(
        "a an and are as at be but by for if in into is it no not of on or such that the their then"
        " there these they this to was will with"
    )
)


@lru_cache(maxsize=_KNOWN)
def key_of(word: str) -> int:
    """Return 64 bits that stand for a word and its English plural.

    Two of a million words have the same ones once in 4e7 catalogues.
    """
    word = _singular(word)
    return int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "little")


def distinct_words(text: str) -> tuple[str, ...]:
    """Return the words of a query that are compared as different ones, the first of each.

    Those of grammar are left out where there are others: in short texts they are as rare as names.
    """
    found: dict[int, str] = {}
    for word in words_of(text):
        found.setdefault(key_of(word), word)
    words = tuple(found.values())
    return tuple(word for word in words if word not in _GRAMMAR) or words


def _singular(word: str) -> str:
    """Return an English word without its plural's s: the S-stemmer (Harman, JASIS 1991)."""
    if len(word) < SHORTEST_PLURAL or word[-1] != "s" or not (word.isascii() and word.isalpha()):
        return word
    if word.endswith("ies") and not word.endswith(("eies", "aies")):
        return word[:-3] + "y"
    if word.endswith(("aes", "ees", "oes", "us", "ss")):
        return word
    return word[:-1]


def rarity(holding: Floats, items: int) -> Floats:
    """Return the inverse document frequency (m,) of words that `holding` (m,) of `items` hold.

    It is that of Lucene, above zero for words that most items hold.
    """
    idf: Floats = np.log1p((items - holding + 0.5) / (holding + 0.5))
    return idf


def saturated(counts: NDArray[np.uint8], lengths: Lengths, mean_length: float) -> Lengths:
    """Return what holding a word `counts` (n,) times says of texts of `lengths` (n,) words.

    It goes from 0 to K1 + 1.
    """
    norm = lengths * np.float32(K1 * B / mean_length)
    norm += np.float32(K1 * (1 - B))
    norm += counts
    said: Lengths = counts * np.float32(K1 + 1)
    said /= norm
    return said
