"""The area that a front dominates: one number for a whole trade-off between two metrics.

Zitzler and Thiele, "Multiobjective Optimization Using Evolutionary Algorithms: A Comparative Case
Study" (PPSN 1998). In two dimensions a sort and a sum give it exactly.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def hypervolumes(x: Floats, y: Floats, reference: Floats) -> Floats:
    """Return the area that the points of each row dominate above its reference, as (B,).

    `x`, `y` (B, P): both the more the better. `reference` (B, 2), or (2,) for all rows. A point
    that is not above the reference in both, or has a NaN, adds nothing.
    """
    corner = np.broadcast_to(reference, (len(x), 2))[:, :, None]
    width, height = x - corner[:, 0], y - corner[:, 1]
    counts = (width > 0) & (height > 0)
    width, height = np.where(counts, width, 0.0), np.where(counts, height, 0.0)

    # From the right: a strip between neighbours is as high as the highest point to its right.
    order = np.argsort(-width, axis=1)
    width = np.take_along_axis(width, order, axis=1)
    highest = np.maximum.accumulate(np.take_along_axis(height, order, axis=1), axis=1)
    strips = width - np.pad(width[:, 1:], ((0, 0), (0, 1)))
    areas: Floats = (strips * highest).sum(axis=1)
    return areas
