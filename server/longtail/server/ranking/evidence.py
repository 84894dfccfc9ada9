"""What is known of each candidate before anything is weighed, and the features it is weighed by."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from longtail.server.ranking.popularity import Bucket, PopularityScale
from longtail.server.ranking.taste import Taste
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Matrix = NDArray[np.float32]
Mask = NDArray[np.bool_]

# Values of a signal that spread less than this do not differ.
FLAT = 1e-6
# People who like an item for its behaviour to count as much as its text.
COLD_LIKES = 3.0
# Beyond so many standard deviations a signal says no more.
CLIP = 6.0

# Of each candidate, measured against the others: see Evidence.signals. Spaces of the caller's come
# behind them.
SIGNALS = 6

# Where the effect of popularity may bend: a linear spline in the log of popularity against the
# catalogue's mean, from a third of it to seven times.
KNOTS = (-1.0, 0.0, 1.0, 2.0)

FEATURES = (
    "text",
    "text cosine",
    "words",
    "words score",
    "behaviour",
    "recent behaviour",
    "aversion",
    "popularity",
    *(f"popularity above {knot:g}" for knot in KNOTS),
    "taste",
    "off taste",
    "tail taste",
    "activity",
    "behaviour x popularity",
    "text x popularity",
    "behaviour x text",
    "adapted",
)
# Those that a person's history gives; zero without one. Of behaviour, likes as examples give too.
OF_TASTE = frozenset(("taste", "off taste", "tail taste", "activity"))
OF_BEHAVIOUR = frozenset(
    ("behaviour", "recent behaviour", "behaviour x popularity", "behaviour x text")
)
OF_HISTORY = OF_TASTE | OF_BEHAVIOUR | {"aversion"}


@dataclass(frozen=True)
class Evidence:
    """Signals of n candidates, each (n,). NaN: that of one which lacks the vector for it.

    `text`: cosine to the nearest interest. `behaviour` and `recent`: how strongly all likes, and
    the last few, lead to the item. `aversion`: cosine to the nearest dislike, zero without one.
    `words`: BM25 of the query's words.
    `adapted`: how near likes are by the vectors of a head, see `like_parts`; zero without one.
    `spaces` (s, n): the cosine to the nearest interest in each of the s spaces of the caller's in
    which the request says something.
    `support`: people who like the item. `popularity`: relative log popularity. `bucket`: of
    popularity, the Bucket.
    """

    text: Floats
    behaviour: Floats
    recent: Floats
    aversion: Floats
    words: Floats
    adapted: Floats
    support: Floats
    popularity: Floats
    bucket: NDArray[np.int8]
    spaces: Floats | None = None

    @cached_property
    def signals(self) -> Floats:
        """What is to be compared (SIGNALS + s, n).

        Text, behaviour, recent behaviour, aversion, words, adapted, and those of spaces.
        """
        # The root: a score of behaviour is zero for most and large for few.
        return np.array(
            (
                self.text,
                np.sqrt(np.maximum(self.behaviour, 0.0)),
                np.sqrt(np.maximum(self.recent, 0.0)),
                self.aversion,
                self.words,
                self.adapted,
                *(() if self.spaces is None else self.spaces),
            )
        )


def observed(
    vectors: Matrix,
    parts: Floats,
    disliked: Matrix,
    scores: Floats,
    support: Floats,
    mass: Floats,
    popularity: PopularityScale,
    words: Floats | None = None,
    adapted: Floats | None = None,
    spaces: Sequence[Floats] = (),
    blank: Mask | None = None,
) -> Evidence:
    """Return the signals of n candidates with unit `vectors` (n, d), in serving and in fitting.

    `parts` (n, 3): of the cosine to the nearest interest. `disliked` (m, d). `scores` (2, n): of
    all likes and of the last few. `support` (n,): people. `mass` (n,): on the scale `popularity`.
    `words` (n,): BM25 scores; None without words to look for. `adapted` (n,): how near likes are by
    a head's vectors; None without one. `spaces`, each (n,): cosines in spaces of the caller's, NaN
    without a vector there. `blank` (n,): which have no vector of their text; None where all have.
    """
    text, aversion = parts.sum(axis=1), np.zeros(len(vectors))
    if len(disliked):
        aversion = (vectors @ disliked.T).max(axis=1).astype(np.float64)
    if blank is not None:
        text[blank] = np.nan
        if len(disliked):
            aversion[blank] = np.nan
    return Evidence(
        text=text,
        behaviour=scores[0],
        recent=scores[1],
        aversion=aversion,
        words=np.zeros(len(vectors)) if words is None else words,
        adapted=np.zeros(len(vectors)) if adapted is None else adapted,
        support=support,
        popularity=popularity.relative_log(mass),
        bucket=popularity.bucket(mass),
        spaces=np.array(spaces) if spaces else None,
    )


@dataclass(frozen=True)
class PoolScale:
    """Mean and standard deviation (SIGNALS + s,) of the signals of a pool.

    Signals lie in other ranges for another encoder and another request; what carries over is how
    far a candidate stands out from the others of its pool.
    """

    mean: Floats
    deviation: Floats

    @classmethod
    def of(cls, evidence: Evidence) -> "PoolScale":
        """Take a pool of at least one candidate as the scale."""
        mean = evidence.signals.sum(axis=1) / evidence.signals.shape[1]
        if np.isnan(mean).any():
            return cls._of_known(evidence.signals)
        deviations = evidence.signals - mean[:, None]
        return cls(mean, np.sqrt(np.square(deviations).sum(axis=1) / deviations.shape[1]))

    @classmethod
    def _of_known(cls, signals: Floats) -> "PoolScale":
        """Take those candidates of each signal that have it."""
        known = ~np.isnan(signals)
        counts = np.maximum(known.sum(axis=1), 1)
        mean = np.where(known, signals, 0.0).sum(axis=1) / counts
        deviations = np.where(known, signals - mean[:, None], 0.0)
        return cls(mean, np.sqrt(np.square(deviations).sum(axis=1) / counts))

    def standardised(self, evidence: Evidence) -> Floats:
        """Return the signals (SIGNALS + s, m) of candidates, from the pool or not.

        What is not known of a candidate stands where the mean does.
        """
        flat = self.deviation < FLAT
        spread = np.where(flat, 1.0, self.deviation)[:, None]
        standing: Floats = (evidence.signals - self.mean[:, None]) / spread
        np.minimum(standing, CLIP, out=standing)
        np.maximum(standing, -CLIP, out=standing)
        standing[flat] = 0.0
        standing[np.isnan(standing)] = 0.0
        return standing


def features(evidence: Evidence, taste: Taste, scale: PoolScale) -> Floats:
    """Return the FEATURES of m candidates, and those of spaces, (m, len(FEATURES) + s)."""
    text, behaviour, recent, aversion, words, adapted, *spaces = scale.standardised(evidence)
    popularity = evidence.popularity
    # What few people have met with stands where a head puts it, or without one its text.
    known = evidence.support / (evidence.support + COLD_LIKES)
    near = adapted if scale.deviation[_ADAPTED] >= FLAT else text
    behaviour = known * behaviour + (1 - known) * near
    off = popularity - taste.popularity
    columns = (
        text,
        _known(evidence.text, scale),
        words,
        evidence.words,
        behaviour,
        recent,
        aversion,
        popularity,
        *np.maximum(popularity - _KNOTS, 0.0),
        off,
        np.abs(off),
        taste.shares[Bucket.TAIL] * popularity,
        np.log1p(taste.likes),
        behaviour * popularity,
        text * popularity,
        behaviour * text,
        adapted,
        *spaces,
    )
    values = np.empty((len(columns), len(text)))
    for at, column in enumerate(columns):
        values[at] = column
    if not taste.likes:
        # Where examples lead nowhere there is no behaviour for the text to stand in for.
        led = scale.deviation[_BEHAVIOUR] >= FLAT
        values[_OF_TASTE if led else _OF_HISTORY] = 0.0
    return values.T


def _known(text: Floats, scale: PoolScale) -> Floats:
    """Return cosines of texts (n,), the mean for what has no text."""
    unknown = np.isnan(text)
    return np.where(unknown, scale.mean[0], text) if unknown.any() else text


_OF_TASTE = [at for at, name in enumerate(FEATURES) if name in OF_TASTE]
_OF_HISTORY = [at for at, name in enumerate(FEATURES) if name in OF_HISTORY]
_KNOTS = np.array(KNOTS)[:, None]
# Their places among the signals.
_BEHAVIOUR, _ADAPTED = 1, 5
