"""Vectors of a graph's rows in one file that only grows, mapped and shared by processes.

hnswlib holds the same vectors, but hands them out one Python object at a time: 200 of them take
longer than finding them does. Mapped, they cost page cache, once for all processes, and no private
memory.
"""

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]

FLOAT32 = np.dtype("<f4")
SUFFIX = ".f32"
# Rows that are copied or checked at a time.
BLOCK_BYTES = 2**20


class DamagedFileError(Exception):
    """A file is not what was written; the message says which and in what way."""


@dataclass(frozen=True)
class VectorFile:
    """The first `rows` vectors (d,) in `path`, float32 one after the other, and their SHA-256."""

    path: Path
    dimension: int
    rows: int
    sha256: str

    @classmethod
    def create(cls, folder: Path, dimension: int) -> "VectorFile":
        """Make an empty file in `folder`, under a name that was never used."""
        path = folder / f"vectors-{uuid.uuid4().hex}{SUFFIX}"
        path.touch()
        return cls(path, dimension, 0, hashlib.sha256().hexdigest())

    def mapped(self) -> Matrix:
        """Return the vectors (rows, d), read-only."""
        if self.rows == 0:
            return np.empty((0, self.dimension), np.float32)
        # As a plain array: each step with one of memmap's class is a call of Python's.
        return np.asarray(np.memmap(self.path, FLOAT32, "r", shape=(self.rows, self.dimension)))

    def verify(self) -> None:
        """Raise DamagedFileError when the vectors are not those that were written."""
        self._digest()

    def extended(self, blocks: Iterable[Matrix]) -> "VectorFile":
        """Append vectors, blocks of (n, d), and bring them to the disk; return the longer file.

        What follows the rows of `self` may belong to a later file that somebody has mapped: then a
        copy is extended. Raises OSError when the disk takes no more, DamagedFileError.
        """
        digest = self._digest()
        file = self
        if self.path.stat().st_size != self.size:
            file = self._copied()
        rows = self.rows
        try:
            with file.path.open("r+b") as stream:
                stream.seek(file.size)
                for vectors in blocks:
                    data = np.ascontiguousarray(vectors, FLOAT32).tobytes()
                    stream.write(data)
                    digest.update(data)
                    rows += len(vectors)
                stream.flush()
                os.fsync(stream.fileno())
        except BaseException:
            file.retract(self)
            raise
        return VectorFile(file.path, self.dimension, rows, digest.hexdigest())

    def retract(self, former: "VectorFile") -> None:
        """Give back the room of what `extended` made of `former`, when it came to nothing."""
        if self.path == former.path and former.rows:
            os.truncate(self.path, former.size)
        else:
            self.path.unlink(missing_ok=True)

    @property
    def size(self) -> int:
        """The bytes of the vectors; the file may have more behind them."""
        return self.rows * self.dimension * FLOAT32.itemsize

    def _digest(self) -> "hashlib._Hash":
        digest = hashlib.sha256()
        left = self.size
        try:
            with self.path.open("rb") as stream:
                while left and (block := stream.read(min(BLOCK_BYTES, left))):
                    digest.update(block)
                    left -= len(block)
        except FileNotFoundError:
            raise DamagedFileError(f"{self.path.name} is missing") from None
        if left or digest.hexdigest() != self.sha256:
            raise DamagedFileError(f"{self.path.name} is not what was written")
        return digest

    def _copied(self) -> "VectorFile":
        fresh = VectorFile.create(self.path.parent, self.dimension)
        with self.path.open("rb") as source, fresh.path.open("wb") as target:
            shutil.copyfileobj(source, target, BLOCK_BYTES)
            target.truncate(self.size)
        return VectorFile(fresh.path, self.dimension, self.rows, self.sha256)
