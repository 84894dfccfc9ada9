"""The highest rate that meets the objectives: doubled until one is missed, then narrowed down."""

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from loadtest.trial import Trial

# A rate is found when the one that fails is less than so much above it.
PRECISION = 1.05
# What meets the objectives once may have been lucky, and what misses them unlucky: the majority of
# so many says.
VOTES = 3


@dataclass(frozen=True)
class Found:
    """`rate` per second meets the objectives, 0 when not even the first did.

    `limited`: the rate is the highest that was allowed, not the highest that is possible.
    """

    rate: float
    limited: bool
    trials: Sequence[Trial] = ()


async def highest_rate(
    first: float, most: float, trial: Callable[[float], Awaitable[Trial]]
) -> Found:
    """Return the highest rate, up to `most`, whose trials meet the objectives.

    Every rate is tried up to three times, as the majority says: see VOTES.
    """
    trials: list[Trial] = []

    async def holds(rate: float) -> bool:
        votes = {True: 0, False: 0}
        while max(votes.values()) <= VOTES // 2:
            done = await trial(rate)
            trials.append(done)
            votes[done.is_met] += 1
        return votes[True] > votes[False]

    low, high = 0.0, min(first, most)
    while True:
        while await holds(high):
            low = high
            if high >= most:
                return Found(low, True, trials)
            high = min(2 * high, most)
        # Below the first rate, if that failed, down to a sixteenth of it.
        least = low or first / 16
        while high > PRECISION * least:
            middle = math.sqrt(least * high)
            if await holds(middle):
                low = least = middle
            else:
                high = middle
        # A machine may have been busy for long enough to mislead the majority: what holds just
        # below where it failed is asked for there once more.
        if not low or not await holds(high):
            return Found(low, False, trials)
        low, high = high, min(2 * high, most)
