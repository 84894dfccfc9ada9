"""Ways in which a file is damaged: by a disk, a full one, a crash, or a hand."""

import json
import os
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

PLACES = 6

Damage = Callable[[bytes], bytes]
Json: TypeAlias = Any
Key: TypeAlias = str | int
Keys: TypeAlias = tuple[Key, ...]


def damages(size: int, places: int = PLACES) -> Iterator[tuple[str, Damage]]:
    """Yield damages, by name, of a file of `size` bytes: it is emptied, cut, garbled, flipped."""
    yield "emptied", partial(_cut, place=0)
    for place in _places(size, places):
        for damage in (_cut, _garbled, _flipped, _zero):
            yield f"{damage.__name__.strip('_')} at {place}", partial(damage, place=place)


def damage_page(path: Path, page: int, size: int = 4096) -> None:
    """Write noise in the place of a page of a database, counted from 0."""
    with path.open("r+b") as file:
        file.seek(page * size)
        file.write(random.Random(page).randbytes(size))
        file.flush()
        os.fsync(file.fileno())


def _places(size: int, places: int) -> list[int]:
    return sorted({1, size - 1, *(size * part // places for part in range(1, places))} - {0, size})


def _cut(content: bytes, place: int) -> bytes:
    return content[:place]


def _garbled(content: bytes, place: int) -> bytes:
    noise = random.Random(place).randbytes(64)
    return content[:place] + noise[: len(content) - place] + content[place + len(noise) :]


def _flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :]


def _zero(content: bytes, place: int) -> bytes:
    return content[:place] + bytes(min(64, len(content) - place)) + content[place + 64 :]


# What may stand in the place of any value of a JSON document.
WRONG: tuple[Json, ...] = (
    None,
    True,
    -1,
    0.5,
    10**400,
    float("nan"),
    "",
    "\ud800",
    [],
    [[]],
    {},
    {"": 1},
)
DEEP = "[" * 100_000


def wrong_documents(document: Json) -> Iterator[tuple[str, str]]:
    """Yield JSON texts, by what is wrong with them: each value in turn is another, or missing."""
    yield "nested too deep", DEEP
    yield "a number of ten thousand digits", "1" * 10_000
    for path in _paths(document):
        for wrong in WRONG:
            yield f"{path} is {wrong!r}", json.dumps(_changed(document, path, wrong))
        if path and isinstance(path[-1], str):
            yield f"{path} is missing", json.dumps(_changed(document, path, MISSING))


MISSING = object()


def _paths(document: Json) -> Iterator[Keys]:
    yield ()
    entries: list[tuple[Key, Json]] = []
    if isinstance(document, dict):
        entries = list(document.items())
    if isinstance(document, list):
        # What holds for two of a list holds for the others.
        entries = list(enumerate(document[:2]))
    for key, value in entries:
        yield from ((key, *path) for path in _paths(value))


def _changed(document: Json, path: Keys, wrong: Json) -> Json:
    if not path:
        return wrong
    copy: Json = dict(document) if isinstance(document, dict) else list(document)
    if len(path) == 1 and wrong is MISSING:
        del copy[path[0]]
    else:
        copy[path[0]] = _changed(document[path[0]], path[1:], wrong)
    return copy


def check_refusals(
    path: Path, read: Callable[[], object], refusal: type[Exception], named: str = ""
) -> int:
    """Damage the file `path` in every way; fail unless `read` takes it or raises `refusal` of it.

    A refusal is one line that names the file, or `named` where that is given. The file is as it
    was afterwards. Returns the number of refusals.
    """
    sound = path.read_bytes()
    texts = wrong_documents(json.loads(sound)) if path.suffix == ".json" else ()
    cases = [(name, damage(sound)) for name, damage in damages(len(sound))]
    cases += [(name, text.encode(errors="surrogatepass")) for name, text in texts]
    refusals = 0
    for name, content in cases:
        path.write_bytes(content)
        try:
            read()
        except refusal as error:
            refusals += 1
            message = str(error)
            if "\n" in message or (named or path.name) not in message:
                raise AssertionError(f"{name}: {message}") from error
        except BaseException as error:
            raise AssertionError(f"{path.name}, {name}: {error!r}") from error
    path.write_bytes(sound)
    return refusals
