"""Texts that are longer than the encoder reads: read in passages, and given their mean.

How much an encoder reads is counted in tokens, which only the workers know. So a text of which a
part was cut is halved, and its halves again, until nothing is.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import TypeAlias

import numpy as np
from longtail.runtime.errors import ServiceError
from longtail.server.store.records import Vector

# A unit vector (d,), or why there is none: InvalidArgument, which calls the text `text`, when the
# encoder does not take it, and InferenceFailed when it failed on it.
Embedded: TypeAlias = Vector | ServiceError
# The longest text of an item, a token for each character, at 256 tokens a passage.
HALVINGS = 7
# A passage ends where a sentence does, within this share of its text around the middle; else where
# a word does.
AROUND_MIDDLE = 0.25
_ENDS = ("\n", "。", "！", "？", ". ", "! ", "? ", " ")


@dataclass(frozen=True)
class Read:
    """What an encoder made of a text; `cut`: it did not read all of it."""

    vector: Embedded
    cut: bool


Embed = Callable[[Sequence[str]], Awaitable[Sequence[Read]]]


async def read_whole(texts: Sequence[str], embed: Embed) -> list[Embedded]:
    """Return what `embed` makes of each text, none of which is cut.

    Of a long one it is the mean of its passages, by their length. Raises what `embed` raises.
    """
    read = await embed(texts)
    vectors = [each.vector for each in read]
    passages: dict[int, list[tuple[str, Read]]] = {
        at: [(texts[at], each)] for at, each in enumerate(read) if each.cut
    }
    for _ in repeat(None, HALVINGS):
        halves = [
            (at, half)
            for at, parts in passages.items()
            for text, each in parts
            if each.cut
            for half in _halves(text)
        ]
        if not halves:
            break
        results = iter(zip(halves, await embed([half for _, half in halves]), strict=True))
        for parts in passages.values():
            # In their places, so that what comes next is about the same text.
            parts[:] = [
                part
                for text, each in parts
                for part in (
                    [(half, new) for (_, half), new in (next(results), next(results))]
                    if each.cut
                    else [(text, each)]
                )
            ]
    for at, parts in passages.items():
        vectors[at] = _mean(parts)
    return vectors


def _halves(text: str) -> tuple[str, str]:
    """Return a text in two parts, where a sentence ends near its middle, or a word."""
    middle, reach = len(text) // 2, max(1, int(len(text) * AROUND_MIDDLE))
    window = text[middle - reach : middle + reach]
    for end in _ENDS:
        before, after = window.rfind(end, 0, reach), window.find(end, reach)
        found = [at for at in (before, after) if at >= 0]
        if found:
            at = middle - reach + min(found, key=lambda at: abs(at - reach)) + len(end)
            if text[:at].strip() and text[at:].strip():
                return text[:at], text[at:]
    return text[:middle], text[middle:]


def _mean(parts: Sequence[tuple[str, Read]]) -> Embedded:
    vectors: list[Vector] = []
    for _, read in parts:
        if isinstance(read.vector, ServiceError):
            return read.vector
        vectors.append(read.vector)
    lengths = np.array([len(text) for text, _ in parts], np.float64)
    mean = lengths @ np.stack(vectors).astype(np.float64)
    norm = float(np.linalg.norm(mean))
    return (mean / norm).astype(np.float32) if norm else vectors[0]
