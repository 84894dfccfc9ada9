"""Times calls that are compared in turn, so that the moods of a machine meet all of them alike."""

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from bench.figures import Measured

Call = Callable[[int], object]


def take_turns(calls: Mapping[str, Call], queries: Sequence[int]) -> dict[str, list[float]]:
    """Give each call each of the numbers `queries`, one at a time; return their seconds, by name.

    The first goes round. At the same moment each call is at another query, so that none finds in
    the processor's caches what the one before it has left there.
    """
    names = list(calls)
    stride = max(1, len(queries) // len(names))
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(len(queries)):
        for place in range(len(names)):
            which = (turn + place) % len(names)
            call = calls[names[which]]
            query = queries[(turn + which * stride) % len(queries)]
            start = time.perf_counter()
            call(query)
            seconds[names[which]].append(time.perf_counter() - start)
    return seconds


def against(ours: Sequence[float], theirs: Sequence[float], what: str) -> Measured:
    """Compare seconds of the same rounds; `what` they are, such as p50.

    The value is the median of the rounds' ratios; the note has both medians, and their ratio.
    """
    ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
    our, their = float(np.median(ours)) * 1e3, float(np.median(theirs)) * 1e3
    note = f"{what} {our:.3f} against {their:.3f} ms, ratio of medians {our / their:.2f}"
    return Measured(float(np.median(ratios)), len(ratios), min(ratios), max(ratios), note)
