"""What vectors are worth: whether those nearest to past likes lead people to what they like later.

It is asked twice: of all items, for the last likes of each person, and of cold ones, whose
interactions were held out whole, among each other.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from longtail.server.ranking.head.head import Matrix
from longtail.server.ranking.head.pairs import Likes, Mask
from longtail.server.ranking.interest import Weighted, past_interests
from longtail.server.ranking.places import discounts
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Int32s = NDArray[np.int32]
Floats = NDArray[np.float64]

# The last of a person's likes are asked for, the latest before them say what is near.
ASKED_SHARE, HISTORY = 0.2, 50
# So many are looked at.
LENGTH = 20
# People whose lists are made together: with 20,000 items their cosines take 12 MB.
TOGETHER = 50

ALL, TAIL, COLD = "all", "tail", "cold"
NDCG, RECALL = f"ndcg@{LENGTH}", f"recall@{LENGTH}"


@dataclass(frozen=True)
class _Person:
    """What one likes, as places among the items: `past`, the latest first, and what is asked for.

    `later` are warm items, `cold` are cold ones.
    """

    past: Int32s
    later: Int32s
    cold: Int32s


class HeldOut:
    """People, and what of their likes is held out, to hold vectors against.

    `likes`: of everybody. `judges` (p,): by number, who is asked of cold items, and `later` (p,),
    who of them of all items too. `cold` and `tail` (n,): which items are. Who has nothing to go by
    is left out. `free` (m,): which likes are not held out.
    """

    def __init__(self, likes: Likes, judges: Mask, later: Mask, cold: Mask, tail: Mask) -> None:
        self._cold, self._tail = cold, tail
        self.free = ~cold[likes.items]
        self._people = list(self._asked(likes, judges, later))

    def __len__(self) -> int:
        return len(self._people)

    def figures(self, vectors: Matrix) -> Mapping[str, Floats]:
        """Return by "all ndcg@20" and the like what is reached with the `vectors` (n, d), (u,).

        NaN stands for people who like nothing of the kind.
        """
        found: dict[str, list[Floats]] = {}
        cold = np.flatnonzero(self._cold)
        for start in range(0, len(self._people), TOGETHER):
            people = self._people[start : start + TOGETHER]
            best = _nearness(vectors, people)
            for at, person in enumerate(people):
                best[at, person.past] = -np.inf
            shown = _first(best)
            among_cold = cold[_first(best[:, cold])] if len(cold) else shown[:, :0]
            wanted = {
                ALL: (shown, [person.later for person in people]),
                TAIL: (shown, [each.later[self._tail[each.later]] for each in people]),
                COLD: (among_cold, [person.cold for person in people]),
            }
            for kind, (lists, relevant) in wanted.items():
                ndcg, recall = _judged(lists, relevant)
                found.setdefault(f"{kind} {NDCG}", []).append(ndcg)
                found.setdefault(f"{kind} {RECALL}", []).append(recall)
        return {name: np.concatenate(parts) for name, parts in found.items()}

    def _asked(self, likes: Likes, judges: Mask, later: Mask) -> Iterator[_Person]:
        bounds = np.flatnonzero(np.diff(likes.people, prepend=-1, append=-1)).tolist()
        for start, end in pairwise(bounds):
            number = likes.people[start]
            if not judges[number]:
                continue
            items, is_warm = likes.items[start:end], self.free[start:end]
            warm, cold = is_warm.nonzero()[0], items[~is_warm]
            asked = round(ASKED_SHARE * len(warm)) if later[number] else 0
            past, last = warm[: len(warm) - asked], warm[len(warm) - asked :]
            if len(past) and (asked or len(cold)):
                self.free[start + last] = False
                yield _Person(items[past][::-1], items[last], cold)


def _nearness(vectors: Matrix, people: Sequence[_Person]) -> Matrix:
    """Return the cosines (u, n) of all items to the nearest interest of each person."""
    wanted, owners = [], []
    for at, person in enumerate(people):
        latest = person.past[:HISTORY]
        for interest in past_interests(Weighted(vectors[latest], np.ones(len(latest)))):
            wanted.append(interest.vector)
            owners.append(at)
    cosines = np.stack(wanted) @ vectors.T
    return np.maximum.reduceat(cosines, np.flatnonzero(np.diff(owners, prepend=-1)), axis=0)


def _first(scores: Matrix) -> Ints:
    """Return the places of the LENGTH highest of each row (u, n), the highest first."""
    length = min(LENGTH, scores.shape[1])
    best = np.argpartition(-scores, length - 1, axis=1)[:, :length]
    order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
    return np.take_along_axis(best, order, axis=1)


def _judged(lists: Ints, relevant: Sequence[Int32s]) -> tuple[Floats, Floats]:
    """Return NDCG and recall (u,) of lists (u, k)."""
    ndcg, recall = np.full((2, len(lists)), np.nan)
    by_place = discounts(LENGTH)
    for at, (shown, wanted) in enumerate(zip(lists, relevant, strict=True)):
        if len(wanted):
            hits = np.isin(shown, wanted)
            best = by_place[: min(len(wanted), LENGTH)].sum()
            ndcg[at] = by_place[: len(shown)][hits].sum() / best
            recall[at] = hits.sum() / len(wanted)
    return ndcg, recall
