from collections.abc import Sequence

import numpy as np
import pytest

from worker import golden
from worker.artefact import Golden
from worker.embedder import Result
from worker.golden import GoldenError
from worker.tokenizer import Role
from worker.vectors import Vector

UNIT = np.array([1, 0], np.float32)


def device_that_gives(vector: Vector) -> golden.Embed:
    async def embed(texts: Sequence[str], role: Role, deadline: float) -> Result:
        return Result(
            tokens=[],
            vectors=[vector],
            tokenize_seconds=0,
            queue_seconds=0,
            inference_seconds=0,
        )

    return embed


async def test_the_promised_vector_passes() -> None:
    await golden.check([Golden("a film", "item", UNIT)], device_that_gives(UNIT))


@pytest.mark.parametrize("wrong", [[0, 1], [0.99, 0.141], [np.nan, 0]])
async def test_any_other_vector_is_refused(wrong: list[float]) -> None:
    device = device_that_gives(np.array(wrong, np.float32))
    with pytest.raises(GoldenError, match="golden item 'a film'"):
        await golden.check([Golden("a film", "item", UNIT)], device)
