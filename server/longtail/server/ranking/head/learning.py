"""How a head is learned: what one person likes is brought together, and nothing goes far.

In-batch contrast (van den Oord et al., "Representation Learning with Contrastive Predictive
Coding", 2018), which alone wrecks the space of the texts: so what each vector moves has its price.
"""

from dataclasses import dataclass

import numpy as np
from longtail.server.ranking.head.head import Head, Matrix, gelu, unit
from longtail.server.ranking.head.pairs import TAIL_WEIGHT, Int32s
from numpy.typing import NDArray

HIDDEN = 512
BATCH = 256
TEMPERATURE = 0.05
# How much a cosine to the vector as it was counts against the contrast.
RESTRAINT = 3.0
# The head is a mean of what it was after each step, the latest with this share: steps of a few
# hundred pairs go to and fro more than they lead on.
AVERAGED = 0.02


@dataclass(frozen=True)
class Recipe:
    """How a head is learned: `rate` is that of AdamW."""

    hidden: int = HIDDEN
    temperature: float = TEMPERATURE
    restraint: float = RESTRAINT
    tail_weight: float = TAIL_WEIGHT
    rate: float = 1e-3


USUAL = Recipe()


def new_head(dimension: int, recipe: Recipe, random: np.random.Generator) -> Head:
    """Return a head that leaves vectors as they are, and can learn."""
    bound = dimension**-0.5
    inner = random.uniform(-bound, bound, (dimension, recipe.hidden)).astype(np.float32)
    return Head(inner, np.zeros((recipe.hidden, dimension), np.float32))


def gradients(
    head: Head, vectors: Matrix, alike: NDArray[np.bool_], recipe: Recipe
) -> tuple[float, Matrix, Matrix]:
    """Return the loss of a batch, and its slopes by both matrices of the head, each of its shape.

    `vectors` (2b, d): of the first items of b pairs, then of the second ones. `alike` (b, b):
    where the first of one pair is as good as pairs with the second of another, which is no
    counterexample then.
    """
    half = len(vectors) // 2
    before = vectors @ head.inner
    hidden, slope = gelu(before)
    moved, lengths = unit(vectors + hidden @ head.outer)
    first, second = moved[:half], moved[half:]
    products: Matrix = (first @ second.T) / recipe.temperature
    products[alike] = -np.inf
    forth, forth_loss = _contrast(products)
    back, back_loss = _contrast(products.T)
    cosines = np.einsum("nd,nd->n", moved, vectors)
    loss = (forth_loss + back_loss) / 2 + recipe.restraint * float(1 - cosines.mean())

    towards: Matrix = (forth + back.T) / (2 * half * recipe.temperature)
    pull: Matrix = np.concatenate((towards @ second, towards.T @ first))
    pull -= (recipe.restraint / len(vectors)) * vectors
    # What is along a vector is lost when it is brought to unit length.
    pull -= np.einsum("nd,nd->n", pull, moved)[:, None] * moved
    pull /= lengths
    through = (pull @ head.outer.T) * slope
    inner: Matrix = vectors.T @ through
    outer: Matrix = hidden.T @ pull
    return loss, inner, outer


def _contrast(products: Matrix) -> tuple[Matrix, float]:
    """Return the slopes by `products` (b, b) of a loss: each row is to be largest on the diagonal.

    Not divided by b; and the mean loss of the rows.
    """
    shares = products - products.max(axis=1, keepdims=True)
    right = np.diagonal(shares).copy()
    np.exp(shares, out=shares)
    sums = shares.sum(axis=1, keepdims=True)
    loss = float((np.log(sums[:, 0]) - right).mean())
    shares /= sums
    shares[np.diag_indices_from(shares)] -= 1
    return shares, loss


class AdamW:
    """Moves parameters in place, each by its own measure.

    Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (ICLR 2019).
    """

    FIRST, SECOND, LEAST, DECAY = 0.9, 0.999, 1e-8, 0.01

    def __init__(self, parameters: tuple[Matrix, ...], rate: float) -> None:
        self._parameters = parameters
        self._rate = rate
        self._first = [np.zeros_like(each) for each in parameters]
        self._second = [np.zeros_like(each) for each in parameters]
        self._step = 0

    def step(self, slopes: tuple[Matrix, ...]) -> None:
        """Move every parameter against its slope."""
        self._step += 1
        scale = np.sqrt(1 - self.SECOND**self._step)
        rate = np.float32(self._rate * scale / (1 - self.FIRST**self._step))
        least = np.float32(self.LEAST * scale)
        for parameter, slope, first, second in zip(
            self._parameters, slopes, self._first, self._second, strict=True
        ):
            first += np.float32(1 - self.FIRST) * (slope - first)
            second += np.float32(1 - self.SECOND) * (slope * slope - second)
            parameter *= np.float32(1 - self._rate * self.DECAY)
            move = np.sqrt(second)
            move += least
            np.divide(first, move, out=move)
            move *= rate
            parameter -= move


class Learning:
    """A head while it is learned from the vectors (n, d) of items."""

    def __init__(self, vectors: Matrix, recipe: Recipe, seed: int) -> None:
        self._vectors, self._recipe = vectors, recipe
        self._head = new_head(vectors.shape[1], recipe, np.random.default_rng(seed))
        self._mean = [self._head.inner.copy(), self._head.outer.copy()]
        self._optimiser = AdamW((self._head.inner, self._head.outer), recipe.rate)

    def learn(self, first: Int32s, second: Int32s) -> float:
        """Take a step with pairs of items (b,) each, and return the loss before it."""
        alike = (second[:, None] == second) | (first[:, None] == first)
        alike |= first[:, None] == second
        alike[np.diag_indices_from(alike)] = False
        vectors = self._vectors[np.concatenate((first, second))]
        loss, *slopes = gradients(self._head, vectors, alike, self._recipe)
        self._optimiser.step(tuple(slopes))
        for mean, part in zip(self._mean, (self._head.inner, self._head.outer), strict=True):
            mean += np.float32(AVERAGED) * (part - mean)
        return loss

    def head(self) -> Head:
        """Return the head as it is by now."""
        inner, outer = self._mean
        return Head(inner.copy(), outer.copy())
