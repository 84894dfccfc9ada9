"""`python -m training head`: heads from what people liked, by several seeds, and the best of them.

The same code as the server's, so that what is written can be served. Text queries go by the vectors
of the texts, beside which a head stands: what it learns changes nothing for them.
"""

import csv
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from longtail.runtime.settings import load
from longtail.server.ranking.head.fitting import Material, NoHead, Round, fit_head
from longtail.server.ranking.head.head import Head, Matrix, write_head
from longtail.server.ranking.head.learning import Recipe
from longtail.server.ranking.head.pairs import Likes
from longtail.worker.settings import WorkerSettings

from evaluation.dataset import DatasetError
from evaluation.opinions import Opinions, read_opinions
from evaluation.text_vectors import encoder_id, item_vectors

HEAD, LOG = "head.npz", "head.csv"

# Tells (done, total) of what is going on.
Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Learned:
    """What a seed led to: a head, or `why` there is none, and the rounds with their seconds."""

    seed: int
    head: Head | None
    why: str
    rounds: Sequence[tuple[float, Round]]


def material(source: Path, min_rating: float | None, tell: Tell) -> Material:
    """Read a folder, or a server's store, and make the vectors of its texts, or find them.

    Raises DatasetError where nothing is liked.
    """
    found = read_opinions(source, min_rating)
    data, rows = found.data, np.flatnonzero(found.likes)
    if not len(rows):
        raise DatasetError(f"{source}: nothing is liked")
    rows = rows[np.lexsort((data.times[rows], data.users[rows]))]
    people, items = (column[rows].astype(np.int32) for column in (data.users, data.items))
    encoder, vectors = text_vectors(found, tell)
    return Material(encoder, vectors, data.item_ids, Likes(people, items, len(vectors)))


def text_vectors(opinions: Opinions, tell: Tell) -> tuple[str, Matrix]:
    """Return the id of the encoder and the vectors (n, d) of all items."""
    settings, data = load(WorkerSettings, os.environ), opinions.data
    return encoder_id(settings), item_vectors(data.titles, data.texts, settings, tell)


def learned(material: Material, recipe: Recipe, seed: int, pause: Callable[[int], None]) -> Learned:
    """Learn a head; `pause` is called with the steps taken."""
    rounds: list[tuple[float, Round]] = []
    started = time.monotonic()

    def tell(told: Round) -> None:
        rounds.append((time.monotonic() - started, told))

    try:
        head = fit_head(material, pause, recipe=recipe, seed=seed, tell=tell)
    except NoHead as none:
        return Learned(seed, None, str(none), rounds)
    return Learned(seed, head, "", rounds)


def best(found: Sequence[Learned]) -> Head | None:
    """Return the head that gained most, None where no seed led to any."""
    heads = [each.head for each in found if each.head is not None]
    return max(heads, key=lambda head: float(head.facts["gain"]), default=None)


def write(head: Head | None, found: Sequence[Learned], out: Path) -> None:
    """Write a head, if there is one, and the rounds of every seed."""
    out.mkdir(parents=True, exist_ok=True)
    if head is not None:
        write_head(head, out / HEAD)
    rows: list[dict[str, Any]] = [
        {"seed": each.seed, "steps": told.steps, "seconds": round(seconds, 2), "loss": told.loss}
        | dict(told.figures)
        for each in found
        for seconds, told in each.rounds
    ]
    with (out / LOG).open("w", newline="", encoding="utf-8") as file:
        lines = csv.DictWriter(file, dict.fromkeys(name for row in rows for name in row))
        lines.writeheader()
        lines.writerows(rows)
