"""What an encoder is to learn: pairs of texts that belong together, of several kinds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from longtail.server.ranking.head.pairs import Likes, Pairs
from longtail.worker.tokenizer import Role
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Marks = NDArray[np.bool_]

# Of the words of a text, a view of it leaves out so many.
DROPPED = 0.3


@dataclass(frozen=True)
class Batch:
    """n pairs of texts. `first` has the role `role`, `second` are items.

    `same` (n, n): where the second of another pair is no counterexample to the first of one.
    `dropout`: the same text on both sides, told apart by the encoder's dropout alone.
    """

    first: Sequence[str]
    second: Sequence[str]
    role: Role
    same: Marks
    dropout: bool = False


@dataclass(frozen=True)
class Task:
    """A source of pairs: `draw` returns so many of them."""

    name: str
    draw: Callable[[np.random.Generator, int], Batch]


def of_queries(texts: Sequence[str], items: Sequence[str], queries: Ints, relevant: Ints) -> Task:
    """Return the task to bring a query near to what is relevant to it.

    `queries` (r,) and `relevant` (r,): positions in `texts` and `items`. Each query is drawn as
    often as any other, however much is relevant to it; all of that is no counterexample to it.
    """
    known = np.unique(queries * len(items) + relevant)
    counts = np.bincount(queries, minlength=len(texts))
    chances = 1 / counts[queries]
    chances /= chances.sum()

    def draw(random: np.random.Generator, count: int) -> Batch:
        rows = random.choice(len(queries), count, p=chances)
        chosen, found = queries[rows], relevant[rows]
        return Batch(
            [texts[at] for at in chosen],
            [items[at] for at in found],
            Role.QUERY,
            _others(np.isin(chosen[:, None] * len(items) + found, known)),
        )

    return Task("queries", draw)


def of_descriptions(titles: Sequence[str], texts: Sequence[str]) -> Task | None:
    """Return the task to bring a title, asked for as a query, near to its description.

    It costs no labels and holds the side of the queries. None where no item has both.
    """
    both = np.array([at for at, title in enumerate(titles) if title.strip() and texts[at].strip()])
    if not len(both):
        return None

    def draw(random: np.random.Generator, count: int) -> Batch:
        rows = random.choice(both, count)
        return Batch(
            [titles[at] for at in rows],
            [texts[at] for at in rows],
            Role.QUERY,
            _shared(rows, rows),
        )

    return Task("descriptions", draw)


def of_likes(items: Sequence[str], likes: Likes, tail_weight: float) -> Task | None:
    """Return the task to bring items together that a person liked one soon after the other."""
    pairs = Pairs(likes, tail_weight)
    if not pairs:
        return None

    def draw(random: np.random.Generator, count: int) -> Batch:
        first, second = pairs.drawn(random, count)
        return Batch(
            [items[at] for at in first],
            [items[at] for at in second],
            Role.ITEM,
            _shared(first, second),
        )

    return Task("likes", draw)


def of_dropout(items: Sequence[str]) -> Task:
    """Return the task to know a text from others in spite of dropout.

    Gao, Yao and Chen, "SimCSE" (EMNLP 2021), without labels.
    """

    def draw(random: np.random.Generator, count: int) -> Batch:
        rows = random.integers(len(items), size=count)
        texts = [items[at] for at in rows]
        return Batch(texts, texts, Role.ITEM, _shared(rows, rows), dropout=True)

    return Task("dropout", draw)


def of_views(items: Sequence[str]) -> Task:
    """Return the task to know a text by either of two views, which each leave out some words.

    After LLMEmb (AAAI 2025), which leaves out attributes.
    """

    def draw(random: np.random.Generator, count: int) -> Batch:
        rows = random.integers(len(items), size=count)
        return Batch(
            [_view(items[at], random) for at in rows],
            [_view(items[at], random) for at in rows],
            Role.ITEM,
            _shared(rows, rows),
        )

    return Task("views", draw)


def _shared(first: NDArray[np.integer], second: NDArray[np.integer]) -> Marks:
    """Return (n, n) where pairs of things share one side, but for each and itself."""
    return _others((first[:, None] == first) | (second[:, None] == second))


def _others(marks: Marks) -> Marks:
    np.fill_diagonal(marks, False)
    return marks


def _view(text: str, random: np.random.Generator) -> str:
    words = text.split()
    kept = [
        word
        for word, drawn in zip(words, random.random(len(words)), strict=True)
        if drawn >= DROPPED
    ]
    return " ".join(kept) or text
