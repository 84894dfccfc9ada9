"""Proof before service and while it lasts: the artefact's golden texts must give their vectors.

They take the way that every caller's texts take, queue included, but are computed every time.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn

from longtail.runtime.errors import DeadlineExceeded, Overloaded, ServiceError
from longtail.worker import metrics
from longtail.worker.artefact import Golden
from longtail.worker.health import Report
from longtail.worker.tokenizer import Role
from longtail.worker.vectors import Vector

logger = logging.getLogger(__name__)

# Devices round differently; a wrong graph, tokenizer or prompt is much farther off.
MIN_COSINE = 0.999
_SECONDS = 15.0
# A stage that does not even say that it is late is dead.
_DEAD_SECONDS = 2 * _SECONDS
# How much sooner to try again after a failure.
_SOONER = 10

# (text, role, deadline) to the text's vector, computed and not remembered.
Embed = Callable[[str, Role, float], Awaitable[Vector]]


class GoldenError(Exception):
    """The worker does not give the vectors that the artefact promises."""


async def check(golden: Sequence[Golden], embed: Embed) -> None:
    """Raise GoldenError when a golden text has another vector here than at the export, or none.

    Raises Overloaded or DeadlineExceeded when other work left no room for the check.
    """
    lowest = 1.0
    for expected in golden:
        try:
            async with asyncio.timeout(_DEAD_SECONDS):
                vector = await embed(
                    expected.text, Role(expected.role), time.monotonic() + _SECONDS
                )
        except (Overloaded, DeadlineExceeded):
            raise
        except (ServiceError, TimeoutError) as error:
            raise GoldenError(
                f"{_name(expected)} has no vector: {str(error) or 'no answer'}"
            ) from error
        cosine = float(vector @ expected.vector)
        # Written so that NaN, which compares false with everything, fails too.
        if not cosine >= MIN_COSINE:
            metrics.GOLDEN_COSINE.set(cosine)
            raise GoldenError(
                f"the vector of {_name(expected)} has cosine {cosine:.4f} to the exported one, "
                f"at least {MIN_COSINE} is needed"
            )
        lowest = min(lowest, cosine)
    metrics.GOLDEN_COSINE.set(lowest)
    logger.debug("golden texts=%d lowest_cosine=%.6f", len(golden), lowest)


async def watch(
    golden: Sequence[Golden], embed: Embed, *, seconds: float, report: Report
) -> NoReturn:
    """Check every `seconds` and report the outcome; raise GoldenError when the first check fails.

    A check that other work left no room for proves nothing and is not reported. Until a check
    passes the next one comes sooner.
    """
    served = well = False
    while True:
        try:
            await check(golden, embed)
        except (Overloaded, DeadlineExceeded) as error:
            logger.info("golden check skipped: %s", error)
        except GoldenError as error:
            if not served:
                raise
            logger.error("golden check failed: %s", error)
            well = False
            await report(well)
        else:
            served = well = True
            await report(well)
        await asyncio.sleep(seconds if well else seconds / _SOONER)


def _name(golden: Golden) -> str:
    return f"the golden {golden.role} {golden.text[:40]!r}"
