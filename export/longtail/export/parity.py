"""How near the artefact is to its checkpoint, measured with the code that will serve it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from longtail.export.errors import ExportError
from longtail.worker.artefact import Parity
from longtail.worker.model import Encoder
from longtail.worker.tokenizer import Role, Tokenizer
from longtail.worker.vectors import Vectors
from numpy.typing import NDArray

_NEIGHBOURS = 10
_BATCH = 16


@dataclass(frozen=True)
class Gate:
    """What an artefact must reach to be written."""

    cosine_min: float
    top10_overlap: float

    def check(self, parity: Parity) -> None:
        """Raise ExportError, with the figure, when `parity` is not enough."""
        for name in ("cosine_min", "top10_overlap"):
            reached, needed = getattr(parity, name), getattr(self, name)
            # Written so that NaN, which compares false with everything, fails too.
            if not reached >= needed:
                raise ExportError(
                    f"parity with the checkpoint is too low: {name} is {reached:.4f} "
                    f"on {parity.texts} texts, at least {needed:g} is needed"
                )


def encode(encoder: Encoder, tokenizer: Tokenizer, texts: Sequence[str], role: Role) -> Vectors:
    """Return (len(texts), dimension) unit vectors, in the order of `texts`."""
    tokens = [tokens.ids for tokens in tokenizer.tokenise(texts, role)]
    # Texts of like length together, so that little padding is computed.
    order = sorted(range(len(tokens)), key=lambda row: len(tokens[row]))
    batches = [order[start : start + _BATCH] for start in range(0, len(order), _BATCH)]
    vectors = np.concatenate([encoder.encode([tokens[row] for row in rows]) for rows in batches])
    return np.asarray(vectors[np.argsort(order)])


def measure(exported: Vectors, original: Vectors) -> Parity:
    """Compare unit vectors of the same texts, row by row and neighbourhood by neighbourhood."""
    cosines = np.sum(exported.astype(np.float64) * original.astype(np.float64), axis=1)
    pairs = zip(_neighbours(exported), _neighbours(original), strict=True)
    shared = [len(np.intersect1d(ours, theirs)) / len(theirs) for ours, theirs in pairs]
    return Parity(
        texts=len(exported),
        cosine_mean=float(cosines.mean()),
        cosine_min=float(cosines.min()),
        top10_overlap=float(np.mean(shared)),
    )


def _neighbours(vectors: Vectors) -> NDArray[np.int64]:
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -np.inf)
    count = min(_NEIGHBOURS, len(vectors) - 1)
    nearest: NDArray[np.int64] = np.argsort(-similarity, axis=1, kind="stable")[:, :count]
    return nearest
