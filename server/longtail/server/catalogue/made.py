"""What is made of what persons did, held within a budget so that requests need not make it again.

It takes more than what it is made of and is made again in less time than that is read, so it is let
go of first: a person is held for longer than what was made of them.
"""

import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from weakref import ref

import numpy as np
from longtail.server.catalogue.spaces.space import Space
from longtail.server.ranking.behaviour import Scores
from longtail.server.ranking.interest import Interest, Weighted
from numpy.typing import NDArray

Ints = NDArray[np.int64]

# Memory for what is made of all histories, beside the one asked for last: of 1,100 to 1,200
# persons who did a hundred things each, nearly as many as `people.py` holds.
MADE_BYTES = 64 * 2**20
# Items led to beyond which that is not held: it would take the room of many persons.
MOST_LED = 2000
# What the objects of a history and of what it leads to take beside their arrays.
OBJECTS_BYTES = 4_000


@dataclass(frozen=True)
class History:
    """What a person liked and disliked of the catalogue, the latest first.

    `item_ids` and `rows` (m,): of the likes; `disliked` (n,): rows. Both together are few: see
    `history.py`. `latest` (k,): rows of the latest of either, and their `worth` (k,).
    `interests`: what these amount to by themselves; `adapted`: the same by the vectors of a head,
    as `past_directions`, None without one.
    """

    item_ids: list[str]
    rows: Ints
    disliked: Ints
    latest: Ints
    worth: NDArray[np.float64]
    interests: tuple[Interest, ...]
    adapted: Weighted | None = None

    @property
    def nbytes(self) -> int:
        """What its arrays take; the ids are those of the person."""
        rows = self.rows.nbytes + self.disliked.nbytes + self.latest.nbytes
        beside = self.adapted.vectors.nbytes + self.adapted.weights.nbytes if self.adapted else 0
        directions = sum(each.nbytes for each in self.interests) + beside
        return 8 * len(self.item_ids) + rows + self.worth.nbytes + directions


@dataclass(frozen=True)
class Kept:
    """A history, and what it was made of: whoever finds the same finds it good.

    Of an `adapted` space that was replaced it holds nothing, however long the person does not ask.
    """

    era: object
    changed: int
    person: int
    adapted: "ref[Space] | None"
    history: History


@dataclass(frozen=True)
class Led:
    """What likes lead to in the behaviour of all people: those of a history, or examples too.

    `first`: rows of the items that they lead to most strongly, by how many were looked up.
    """

    history: History
    scores: Scores
    first: dict[int, Ints] = field(default_factory=dict)

    def keep_first(self, count: int, rows: Ints) -> None:
        """Keep the rows of the first `count`, if what is kept stays as few as all there are."""
        if sum(map(len, self.first.values())) + len(rows) <= len(self.scores.numbers):
            self.first[count] = rows

    @property
    def nbytes(self) -> int:
        """What its arrays take, with those of `first` that there may be."""
        scores = self.scores
        arrays = (scores.numbers, scores.values, scores.liked, scores.counted)
        return sum(each.nbytes for each in arrays) + 8 * len(scores.numbers)


class Made:
    """What was made of the history of one person, for a request, and may serve others.

    `kept`: the history in the catalogue. `led`: what its likes lead to.
    """

    __slots__ = ("budget", "kept", "led")

    def __init__(self, budget: "MadeBudget") -> None:
        # None once the person is not held: then nothing is to be kept for requests to come.
        self.budget: MadeBudget | None = budget
        self.kept: Kept | None = None
        self.led: Led | None = None

    def keep(self, kept: Kept) -> None:
        """Keep a history; what another led to goes."""
        self.kept, self.led = kept, None
        self._reckon()

    def lead(self, led: Led) -> None:
        """Keep what the likes lead to."""
        self.led = led
        self._reckon()

    def use(self) -> None:
        """Say that it is of use: it goes after what was of use before."""
        if (budget := self.budget) is not None:
            budget.use(self)

    @property
    def size(self) -> int:
        """About how many bytes this takes."""
        kept, led = self.kept, self.led
        arrays = (kept.history.nbytes if kept else 0) + (led.nbytes if led else 0)
        return arrays + OBJECTS_BYTES if arrays else 0

    def _reckon(self) -> None:
        if (budget := self.budget) is not None:
            budget.reckon(self)


class MadeBudget:
    """Bounds what is made of all histories: what was of use longest ago is let go of first.

    Any thread may call any method; none waits for more than a few steps of another.
    """

    def __init__(self) -> None:
        # What each takes; that of use longest ago comes first.
        self._sizes: OrderedDict[Made, int] = OrderedDict()
        self.size = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._sizes)

    def use(self, made: Made) -> None:
        """Let others go first."""
        with suppress(KeyError):
            # One step, which needs no lock.
            self._sizes.move_to_end(made)

    def reckon(self, made: Made) -> None:
        """Reckon with what was made last, and let go of what there is no more room for."""
        with self._lock:
            self.size -= self._sizes.pop(made, 0)
            if made.budget is not self:
                return
            self._sizes[made] = made.size
            self.size += self._sizes[made]
            while self.size > MADE_BYTES and len(self._sizes) > 1:
                oldest, size = self._sizes.popitem(last=False)
                self.size -= size
                oldest.kept = oldest.led = None

    def close(self, made: Made) -> None:
        """Let go of what was made of a person who is held no more, for good."""
        with self._lock:
            self.size -= self._sizes.pop(made, 0)
            made.budget = made.kept = made.led = None
