"""The arrays that pass between tokenizer, batcher and model."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

# Token ids of one text, special tokens included.
TokenIds: TypeAlias = Sequence[int]
# (dimension,) float32 of unit length.
Vector: TypeAlias = NDArray[np.float32]
# (texts, dimension) float32; each row has unit length.
Vectors: TypeAlias = NDArray[np.float32]
