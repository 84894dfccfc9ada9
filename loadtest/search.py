"""The highest rate that meets the objectives: up when they are met, down when one is missed.

The up-and-down method (Dixon and Mood, "A Method for Obtaining and Analyzing Sensitivity Data",
JASA 1948). Near what a machine can do chance decides whether a trial of some seconds meets an
objective. The rates come to stay around that at which half of the trials do, and their mean tells
it better than any of the trials.
"""

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from loadtest.trial import Trial

# From one rate to the next, at first and in the end: the root is taken where the way turns.
FIRST_STEP, LAST_STEP = 2.0, 1.05
# The step is squared when so many went the same way: chance had made it small too early.
SAME_WAY = 3
# Trials of the last step, from a turn on, that tell the rate.
TOLD_BY = 12
# Of the first rate, the part below which none is tried.
LEAST = 1 / 16


@dataclass(frozen=True)
class Found:
    """At `rate` per second half of the trials meet the objectives; 0 when not even the least does.

    `limited`: the rate is the highest that was allowed, not the highest that is possible.
    """

    rate: float
    limited: bool
    trials: Sequence[Trial] = ()


async def highest_rate(
    first: float, most: float, trial: Callable[[float], Awaitable[Trial]]
) -> Found:
    """Return the highest rate, up to `most`, at which `trial` meets the objectives."""
    rate, step, least = min(first, most), FIRST_STEP, LEAST * first
    trials: list[Trial] = []
    told: list[float] = []
    # Trials that went the same way: up above 0, down below.
    same = 0
    while len(told) < TOLD_BY:
        done = await trial(rate)
        trials.append(done)
        if done.is_met and rate >= most:
            return Found(most, True, trials)
        if not done.is_met and rate <= least:
            return Found(0.0, False, trials)
        turns = same < 0 if done.is_met else same > 0
        same = (0 if turns else same) + (1 if done.is_met else -1)
        if turns:
            step = max(math.sqrt(step), LAST_STEP)
        elif abs(same) >= SAME_WAY and step > LAST_STEP:
            step = min(step**2, FIRST_STEP)
        if told or (turns and step == LAST_STEP):
            told.append(rate)
        rate = min(rate * step, most) if done.is_met else max(rate / step, least)
    # What would be tried next is known to be one of them.
    return Found(math.exp(math.fsum(map(math.log, (*told, rate))) / (TOLD_BY + 1)), False, trials)
