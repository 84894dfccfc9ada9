"""How alike two items are by who likes them: a cosine, shrunk where few people stand behind it."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# People added to the norm in the denominator: two who agree are not a hundred.
SHRINKAGE = 10.0


def shrunk(common: Floats, support: float, others: Floats) -> Floats:
    """Return the similarity (m,) of an item to others, 0 to 1 (Bell and Koren, ICDM 2007).

    `common` (m,): people who like both, weighed or not. `support`, `others` (m,): who like each.
    """
    similarity: Floats = common / (np.sqrt(support * others) + SHRINKAGE)
    return similarity
