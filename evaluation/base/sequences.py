"""Recommenders that go by the order of what was liked, and run without a GPU.

Both are from Ludewig and Jannach, "Evaluation of Session-based Recommendation Algorithms" (User
Modeling and User-Adapted Interaction, 2018): sequential rules, and nearest neighbours of the
recent past (V-SKNN).
"""

import numpy as np
from scipy import sparse

from evaluation.base.known import Base, Known, Score, Setting, dense
from evaluation.task import Floats, Ints


def transitions(known: Known, setting: Setting) -> Score:
    """Return how often the likes of late were followed by each item, up to `steps` likes later.

    A step more counts 1 / steps; a like that is older by one leads `decay` times as strongly.
    """
    followed = sparse.csr_matrix((known.shape[1], known.shape[1]))
    for steps in range(1, int(setting["steps"]) + 1):
        later, earlier = slice(None, -steps), slice(steps, None)
        same = known.people[later] == known.people[earlier]
        pairs = known.items[earlier][same], known.items[later][same]
        followed += sparse.csr_matrix((np.full(same.sum(), 1 / steps), pairs), followed.shape)
    of_item = sparse.diags(1 / np.maximum(known.popularity, 1.0))
    rules, recent = of_item @ followed, known.recent(setting["decay"])
    return lambda asked: dense(recent[asked] @ rules)


def neighbours_of_late(known: Known, setting: Setting) -> Score:
    """Return what the `neighbours` like whose likes hold most of a person's latest ones.

    Of the latest the weight falls by `decay` from one to the next older.
    """
    lengths = np.asarray(known.likes.sum(axis=1)).ravel()
    of_person = (sparse.diags(1 / np.sqrt(np.maximum(lengths, 1.0))) @ known.likes).tocsr()
    recent, most = known.recent(setting["decay"]), int(setting["neighbours"])

    def score(asked: Ints) -> Floats:
        alike = dense(recent[asked] @ of_person.T)
        alike[np.arange(len(asked)), asked] = 0.0
        if alike.shape[1] > most:
            least = np.partition(alike, -most, axis=1)[:, -most, None]
            alike[alike < least] = 0.0
        return np.asarray(alike @ known.likes)

    return score


TRANSITIONS = Base(
    "sequential rules", {"steps": (1, 3, 10), "decay": (0.5, 0.8, 0.95, 1.0)}, transitions
)
NEIGHBOURS_OF_LATE = Base(
    "V-SKNN", {"neighbours": (50, 100, 200), "decay": (0.8, 0.9, 0.97, 1.0)}, neighbours_of_late
)
