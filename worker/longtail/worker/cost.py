"""What an inference costs: seconds as a straight line in padded tokens, measured while serving."""

import math

# How much of the past each inference leaves: about the last twenty count.
_KEPT = 0.95
# An inference that took longer than this against its prediction was held up by something else.
_OUTLIER_FACTOR, _OUTLIER_SECONDS = 4.0, 0.05


class Cost:
    """Least squares of seconds over padded tokens, in which older inferences fade.

    The line has a part per inference, which rules on a GPU, and a part per token, which rules on a
    CPU. Neither is ever negative. Before the first measurement everything is free, so that nothing
    is refused on a guess. That attention grows faster than its length is left out: a batch's budget
    keeps the range small.
    """

    def __init__(self) -> None:
        self.per_inference = self.per_token = 0.0
        self._weight = self._x = self._y = self._xx = self._xy = self._tokens = 0.0

    @property
    def measured(self) -> bool:
        """Say whether there was an inference to learn from."""
        return self._weight > 0

    @property
    def padding(self) -> float:
        """Return the padded tokens computed for each token, at least 1."""
        return self._x / self._tokens if self._tokens else 1.0

    def seconds(self, padded: float) -> float:
        """Return the time that one inference of `padded` tokens takes."""
        return self.per_inference + self.per_token * padded

    def affordable(self, seconds: float) -> float:
        """Return the padded tokens that one inference computes in `seconds`."""
        if not self.per_token:
            return math.inf
        return max(0.0, (seconds - self.per_inference) / self.per_token)

    def observe(self, tokens: int, padded: int, seconds: float) -> None:
        """Learn from one inference of `tokens`, which were `padded` with padding."""
        if self.measured:
            limit = _OUTLIER_FACTOR * self.seconds(padded) + _OUTLIER_SECONDS
            seconds = min(seconds, limit)
        self._weight = self._weight * _KEPT + 1
        self._tokens = self._tokens * _KEPT + tokens
        self._x = self._x * _KEPT + padded
        self._y = self._y * _KEPT + seconds
        self._xx = self._xx * _KEPT + padded * padded
        self._xy = self._xy * _KEPT + padded * seconds
        self._fit()

    def _fit(self) -> None:
        x, y = self._x / self._weight, self._y / self._weight
        variance = self._xx / self._weight - x * x
        covariance = self._xy / self._weight - x * y
        slope = covariance / variance if variance > 0.01 * x * x else math.inf
        # Sizes that differ too little, or noise, say nothing of the two parts: all is per token.
        self.per_token = slope if 0 < slope < y / x else y / x
        self.per_inference = max(0.0, y - self.per_token * x)
