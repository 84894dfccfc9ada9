"""Ways in which a file is damaged: by a disk, a full one, a crash, or a hand."""

import os
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

PLACES = 6

Damage = Callable[[bytes], bytes]


def damages(size: int) -> Iterator[tuple[str, Damage]]:
    """Yield damages, by name, of a file of `size` bytes: it is emptied, cut, garbled, flipped."""
    yield "emptied", partial(_cut, place=0)
    for place in _places(size):
        for damage in (_cut, _garbled, _flipped, _zero):
            yield f"{damage.__name__.strip('_')} at {place}", partial(damage, place=place)


def damage_page(path: Path, page: int, size: int = 4096) -> None:
    """Write noise in the place of a page of a database, counted from 0."""
    with path.open("r+b") as file:
        file.seek(page * size)
        file.write(random.Random(page).randbytes(size))
        file.flush()
        os.fsync(file.fileno())


def _places(size: int) -> list[int]:
    return sorted({1, size - 1, *(size * part // PLACES for part in range(1, PLACES))} - {0, size})


def _cut(content: bytes, place: int) -> bytes:
    return content[:place]


def _garbled(content: bytes, place: int) -> bytes:
    noise = random.Random(place).randbytes(64)
    return content[:place] + noise[: len(content) - place] + content[place + len(noise) :]


def _flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :]


def _zero(content: bytes, place: int) -> bytes:
    return content[:place] + bytes(min(64, len(content) - place)) + content[place + 64 :]
