"""A head: moves the vector of a text to where what the same people like is near, and its file.

The smallest form of the adaptor of UniSRec (Hou et al., "Towards Universal Sequence Representation
Learning for Recommender Systems", KDD 2022): one hidden layer beside the vector as it is. It knows
no items, only directions, so an item that nobody has met with has its place too.
"""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from longtail.runtime.errors import cut
from numpy.typing import NDArray

Matrix = NDArray[np.float32]

FORMAT = 1
# Of the parts of a file together: a hidden layer of 20,000 over vectors of 384.
MOST_BYTES = 64 * 2**20
# A weight of a head that was learned is below 10.
LARGEST = 1e4
SHOWN_BYTES = 200
# Vectors adapted at a time: what is hidden takes 4 MiB.
BLOCK = 2048
# Of the approximation of a Gaussian's distribution function by tanh.
CURVE, BEND = np.float32(np.sqrt(2 / np.pi)), np.float32(0.044715)


class HeadError(ValueError):
    """A head cannot be used; the message says why."""


@dataclass(frozen=True, eq=False)
class Head:
    """x + W2 GELU(W1 x), brought to unit length; both as they are multiplied from the right.

    `inner` (d, h), `outer` (h, d). `encoder`: the id of the model whose vectors it adapts. `facts`:
    what it was learned from and what it reached, as JSON has it.
    """

    inner: Matrix
    outer: Matrix
    encoder: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def dimension(self) -> int:
        """The dimension of the vectors that it adapts."""
        return len(self.inner)

    @property
    def likes(self) -> int:
        """How many likes it was learned from; 0 where that is not told."""
        told = self.facts.get("learned from")
        likes = told.get("likes") if isinstance(told, Mapping) else None
        return likes if isinstance(likes, int) else 0

    @cached_property
    def version(self) -> str:
        """What tells this head from any other."""
        digest = hashlib.sha256(self.encoder.encode())
        for part in (self.inner, self.outer):
            digest.update(repr(part.shape).encode() + part.tobytes())
        return digest.hexdigest()[:12]

    def adapted(self, vectors: Matrix) -> Matrix:
        """Return the unit vectors (n, d) of unit `vectors` (n, d), each without regard to others.

        They are the same, up to rounding, however many come together.
        """
        found = np.empty((len(vectors), self.dimension), np.float32)
        for start in range(0, len(vectors), BLOCK):
            part = vectors[start : start + BLOCK]
            hidden, _ = gelu(part @ self.inner)
            found[start : start + BLOCK] = unit(part + hidden @ self.outer)[0]
        return found


def gelu(values: Matrix) -> tuple[Matrix, Matrix]:
    """Return GELU of `values` and its slope there, both of their shape.

    Hendrycks and Gimpel, "Gaussian Error Linear Units" (2016), in the approximation by tanh.
    """
    square = values * values
    share: Matrix = np.tanh(CURVE * values * (1 + BEND * square))
    share += 1
    share /= 2
    # By what is inside of the tangent a share s = (1 + tanh) / 2 has the slope 2 s (1 - s).
    slope: Matrix = 2 * values * share * (1 - share) * CURVE * (1 + 3 * BEND * square)
    slope += share
    return values * share, slope


def unit(vectors: Matrix) -> tuple[Matrix, Matrix]:
    """Return `vectors` (n, d) brought to unit length, and the lengths (n, 1) that they had."""
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))[:, None]
    np.maximum(lengths, np.finfo(vectors.dtype).tiny, out=lengths)
    return vectors / lengths, lengths


def write_head(head: Head, path: Path) -> None:
    """Write a head to a file; whoever reads it meanwhile gets the old one or the new one."""
    document = {
        "format": FORMAT,
        "version": head.version,
        "encoder": head.encoder,
        "facts": dict(head.facts),
    }
    text = np.frombuffer(json.dumps(document, sort_keys=True).encode(), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    with new.open("wb") as file:
        np.savez(file, inner=head.inner, outer=head.outer, document=text)
    new.replace(path)


def read_head(path: Path) -> Head:
    """Return the head in a file. Raises HeadError, also when it cannot be read."""
    try:
        # Opened here, because the library leaves open what it cannot read.
        with path.open("rb") as file:
            with zipfile.ZipFile(file) as parts:
                size = sum(part.file_size for part in parts.infolist())
            if size > MOST_BYTES:
                raise ValueError(f"it holds {size} bytes, and {MOST_BYTES} are the most")
            file.seek(0)
            with np.load(file, allow_pickle=False) as content:
                inner, outer = content["inner"], content["outer"]
                document = json.loads(content["document"].tobytes())
        head = Head(inner, outer, str(document["encoder"]), dict(document["facts"]))
        known = document["format"] == FORMAT and document["version"]
        own = head.version
    except Exception as error:  # damage shows itself as any of a dozen kinds
        reason = f"{type(error).__name__}: {error}"
        raise HeadError(f"{path} cannot be read: {cut(reason, SHOWN_BYTES)}") from None
    fits = inner.ndim == 2 and inner.T.shape == outer.shape
    if not fits or (inner.dtype, outer.dtype) != (np.float32, np.float32):
        raise HeadError(f"{path} holds no head of format {FORMAT}")
    if known != own:
        raise HeadError(f"{path} is damaged: it is not {cut(str(known), SHOWN_BYTES)}")
    largest = np.abs(np.concatenate((inner.ravel(), outer.ravel()))).max(initial=0)
    # What is no number is not at most anything.
    if not largest <= LARGEST:
        raise HeadError(f"{path} holds weights beyond {LARGEST:g}, which lead nowhere")
    return head
