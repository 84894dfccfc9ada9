"""EASE, alone and blended with what the texts say.

Steck, "Embarrassingly Shallow Autoencoders for Sparse Data" (WWW 2019): the item-item weights of a
ridge regression with a zero diagonal, in closed form. Of people and items the fewer make the matrix
that is inverted: where there are fewer people the same weights follow by Woodbury's identity.
"""

import numpy as np
from scipy import sparse

from evaluation.base.known import Base, Known, Score, Setting, TooLargeError, dense
from evaluation.task import Floats, Ints

# The matrix takes 8 bytes for each pair: 1.2 GB, and as much again while it is inverted.
MOST = 12_000
# Columns of which a dense block is held at a time.
BLOCK = 4_096
RIDGES = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
TEXT_SHARES = (0.05, 0.1, 0.2, 0.4, 0.8)


def ease(known: Known, setting: Setting) -> Score:
    """Return the scores of EASE with the ridge `lambda`."""
    people, items = known.shape
    if min(people, items) > MOST:
        raise TooLargeError(
            f"{people:,} people and {items:,} items: the closed form inverts a matrix of the fewer "
            f"of them, {MOST:,} at most"
        )
    return _by_people(known, setting) if people < items else _by_items(known, setting)


def _by_items(known: Known, setting: Setting) -> Score:
    gram = dense(known.likes.T @ known.likes)
    gram[np.diag_indices_from(gram)] += setting["lambda"]
    weights = np.linalg.inv(gram)
    weights /= -np.diag(weights)
    np.fill_diagonal(weights, 0.0)
    return lambda asked: np.asarray(known.likes[asked] @ weights)


def _by_people(known: Known, setting: Setting) -> Score:
    likes, ridge = known.likes, setting["lambda"]
    gram = dense(likes @ likes.T)
    gram[np.diag_indices_from(gram)] += ridge
    inverse = np.asarray(np.linalg.inv(gram), np.float64)
    # Of the diagonal of the inverse over items, times the ridge: what each item explains of itself.
    columns = likes.tocsc()
    explained = np.concatenate(
        [
            _explained(inverse, columns[:, start : start + BLOCK])
            for start in range(0, known.shape[1], BLOCK)
        ]
    )
    # Row by row, gram without its ridge times the inverse.
    reached = -ridge * inverse
    reached[np.diag_indices_from(reached)] += 1.0
    return lambda asked: np.asarray((reached[asked] @ likes) / (1 - explained))


def _explained(inverse: Floats, likes: sparse.csc_matrix) -> Floats:
    sums: Floats = np.asarray(likes.multiply(inverse @ likes).sum(axis=0)).ravel()
    return sums


def mean_text(known: Known, setting: Setting) -> Score:
    """Return the cosines of the texts to the mean of those that a person likes."""

    def score(asked: Ints) -> Floats:
        mean = known.likes[asked] @ known.vectors
        mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
        cosines: Floats = (mean @ known.vectors.T).astype(np.float64)
        return cosines

    return score


def ease_and_text(known: Known, setting: Setting) -> Score:
    """Return EASE plus `text` times the cosine to the mean, both standardised for each person."""
    behaviour, text = ease(known, setting), mean_text(known, setting)
    return lambda asked: standard(behaviour(asked)) + setting["text"] * standard(text(asked))


def standard(scores: Floats) -> Floats:
    """Return scores (n, I) less the mean of each row, in units of its deviation."""
    deviation = scores.std(axis=1, keepdims=True)
    unit: Floats = (scores - scores.mean(axis=1, keepdims=True)) / np.maximum(deviation, 1e-12)
    return unit


EASE = Base("EASE", {"lambda": RIDGES}, ease)
EASE_AND_TEXT = Base("EASE + text", {"lambda": RIDGES, "text": TEXT_SHARES}, ease_and_text)
MEAN_TEXT = Base("mean of texts", {}, mean_text)
