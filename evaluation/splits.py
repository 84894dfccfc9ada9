"""Divides interactions into what is learned from, what is tuned on and what is held out."""

from enum import IntEnum, StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.dataset import SPLIT_NAMES, Dataset, DatasetError, Mask

Parts = NDArray[np.int8]
Ints = NDArray[np.int64]

# 0.29 * 50 comes out below 14.5, and must be 15 rows all the same.
_ROUNDING = 1e-9


class Part(IntEnum):
    """What a row is for."""

    TRAIN = 0
    VALID = 1
    TEST = 2


class SplitMethod(StrEnum):
    """How rows are divided; the file's order decides between rows of one time."""

    # The last of each person's rows are held out.
    USER_TIME = "user-time"
    # The last of all rows are held out; who came late has nothing in train.
    GLOBAL_TIME = "global-time"
    # Each person's last like is held out.
    LEAVE_ONE_OUT = "leave-one-out"
    # As the column `split` says.
    GIVEN = "given"


def split(
    dataset: Dataset,
    method: SplitMethod,
    *,
    positives: Mask,
    valid: float = 0.1,
    test: float = 0.2,
) -> Parts:
    """Return the Part of each of the m interactions.

    `positives` (m,) are the likes. `valid` and `test` are shares of each person's rows, or of all
    rows; they say nothing where likes are left out one by one or the split is given. Raises
    DatasetError when there is no column to go by, or a part without a like.
    """
    match method:
        case SplitMethod.USER_TIME:
            parts = _by_time(dataset, dataset.users, valid, test)
        case SplitMethod.GLOBAL_TIME:
            parts = _by_time(dataset, np.zeros_like(dataset.users), valid, test)
        case SplitMethod.LEAVE_ONE_OUT:
            parts = _leave_one_out(dataset, positives)
        case SplitMethod.GIVEN:
            if dataset.split is None:
                raise DatasetError("no split is given: interactions.csv has no column split")
            parts = dataset.split
    for part in Part:
        if not positives[parts == part].any():
            raise DatasetError(f"the split {method} leaves no like for {SPLIT_NAMES[part]}")
    return parts


def _by_time(dataset: Dataset, groups: Ints, valid: float, test: float) -> Parts:
    """Hold out the last rows of each group; `groups` (m,) are numbers from 0."""
    if not (valid > 0 and test > 0 and valid + test < 1):
        raise DatasetError(
            f"shares of {valid:g} for valid and {test:g} for test leave a part without rows"
        )
    order = np.lexsort((dataset.times, groups))
    ordered = groups[order]
    sizes = np.bincount(groups)[ordered]
    # The last row of a group has 1 left, itself.
    left = sizes - (np.arange(len(order)) - _starts(ordered))
    parts = np.full(len(order), Part.TRAIN, np.int8)
    parts[order[left <= _rounded((valid + test) * sizes)]] = Part.VALID
    parts[order[left <= _rounded(test * sizes)]] = Part.TEST
    return parts


def _leave_one_out(dataset: Dataset, positives: Mask) -> Parts:
    """Hold out the last like of each person for test and the one before for valid.

    The rows that follow either, disliked ones, go with it: to learn from them would be to know the
    future. Something liked has to stay for train, so of two likes the last is test, and one alone
    is not held out.
    """
    order = np.lexsort((dataset.times, dataset.users))
    users = dataset.users[order]
    likes = np.bincount(dataset.users, positives).astype(np.int64)[users]
    counted = np.concatenate(([0], np.cumsum(positives[order])))
    later = likes - (counted[1:] - counted[_starts(users)])
    parts = np.full(len(order), Part.TRAIN, np.int8)
    parts[order[(later == 1) & (likes >= 3)]] = Part.VALID
    parts[order[(later == 0) & (likes >= 2)]] = Part.TEST
    return parts


def _starts(ordered: Ints) -> Ints:
    """Return where the run of equals begins that each of the ascending numbers is in."""
    return np.searchsorted(ordered, ordered)


def _rounded(rows: NDArray[np.floating[Any]]) -> Ints:
    rounded: Ints = np.floor(rows + 0.5 + _ROUNDING).astype(np.int64)
    return rounded
