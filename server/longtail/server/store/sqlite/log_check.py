"""Check the log that SQLite keeps beside a database: that nothing in it is lost without a word.

SQLite reads the log up to the first frame that is not what was written, which after a crash is the
transaction that was being written then. Frames that are damaged by anything else, and all writes
after them, it passes over as well. What tells the two apart is what follows.
"""

import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# See "WAL File Format" in SQLite's documents. Magic, version, page size, number of checkpoints, two
# salts, two checksums; then, for each frame, page, size of the database after a commit or 0, the
# salts again and the checksums up to here.
HEADER, FRAME = struct.Struct(">8I"), struct.Struct(">6I")
BIG_ENDIAN, LITTLE_ENDIAN = 0x377F0683, 0x377F0682
# Frames that are read at a time.
BLOCK = 1024
# A crash can leave one commit that does not count, that of the transaction it interrupted.
INTERRUPTED = 1

Words = NDArray[np.uint32]


def log_problem(path: Path) -> str | None:
    """Return what is wrong with the log `path` of a database that nobody writes; None if nothing.

    What is cut off its end cannot be told from what was never written.
    """
    if not path.exists() or not path.stat().st_size:
        return None
    with path.open("rb") as file:
        content = file.read(HEADER.size)
    if len(content) < HEADER.size:
        return f"{path} ends within its header"
    magic, _version, page_size, _checkpoints, *salts, one, two = HEADER.unpack(content)
    order = {BIG_ENDIAN: ">u4", LITTLE_ENDIAN: "<u4"}.get(magic)
    if order is None:
        return f"{path} is no log of SQLite"
    words = np.frombuffer(content[:24], order).astype(np.uint32)
    state = _sums(np.zeros(2, np.uint32), words[None])[0]
    if state.tolist() != [one, two]:
        return f"{path} has another header than was written"
    lost, whole = 0, True
    for heads, sums in _frames(path, page_size, order, state):
        for head, (first, second) in zip(heads, sums, strict=True):
            known = head[2:4].tolist() == salts
            whole = whole and known and head[4:6].tolist() == [first, second]
            lost += bool(known and not whole and head[1])
    if lost > INTERRUPTED:
        return f"{path} is damaged before the last {lost} writes in it"
    return None


def _frames(
    path: Path, page_size: int, order: str, state: Words
) -> Iterator[tuple[Words, list[list[int]]]]:
    """Yield the heads (n, 6) of frames and, for each, the checksums that it should have."""
    size = FRAME.size + page_size
    count = (path.stat().st_size - HEADER.size) // size
    if page_size < 512 or count == 0:
        return
    content = np.memmap(path, np.uint8, "r", HEADER.size, (count, size))
    for begin in range(0, count, BLOCK):
        frames = np.asarray(content[begin : begin + BLOCK])
        heads = frames[:, : FRAME.size].copy().view(">u4").astype(np.uint32)
        # The sums are of the first two words of the head, and of the page.
        summed = np.concatenate([frames[:, :8], frames[:, FRAME.size :]], axis=1)
        sums = _sums(state, summed.view(order).astype(np.uint32))
        state = sums[-1]
        yield heads, sums.tolist()


def _sums(state: Words, rows: Words) -> Words:
    """Return SQLite's running checksums (n, 2) after each of `rows` (n, words), from `state` on."""
    power, factors = _factors(rows.shape[1] // 2)
    parts = np.stack([(rows * each).sum(axis=1, dtype=np.uint32) for each in factors], axis=1)
    sums = np.empty((len(rows), 2), np.uint32)
    for row, part in enumerate(parts):
        state = power @ state + part
        sums[row] = state
    return sums


@cache
def _factors(pairs: int) -> tuple[Words, Words]:
    """Return what a row of so many pairs of words counts by: the sums before (2, 2), it (2, words).

    For each two words x, y: a += x + b, b += y + a, modulo 2**32. That is linear, so that a row
    counts by the same factors wherever it stands.
    """
    step = np.array([[1, 1], [1, 2]], np.uint32)
    taken = np.array([[1, 0], [1, 1]], np.uint32)
    power = np.eye(2, dtype=np.uint32)
    factors = np.empty((2, pairs, 2), np.uint32)
    for pair in reversed(range(pairs)):
        factors[:, pair] = power @ taken
        power = power @ step
    return power, factors.reshape(2, -1)
