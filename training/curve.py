"""The curve of learning as CSV, which grows as it is drawn and goes on after a break."""

import csv
from pathlib import Path

from training.steps import Progress

DECIMALS = 4


class Curve:
    """A file of steps, their loss, a `score` of that name, and the seconds since learning began."""

    def __init__(self, file: Path, score: str) -> None:
        self._file, self._score = file, score

    def add(self, progress: Progress, score: float, seconds: float) -> None:
        """Add what a look said."""
        new = not self._file.exists()
        with self._file.open("a", newline="", encoding="utf-8") as file:
            lines = csv.writer(file)
            if new:
                lines.writerow(("step", "loss", self._score, "seconds"))
            lines.writerow(
                (
                    progress.step,
                    round(progress.loss, DECIMALS),
                    round(score, DECIMALS),
                    round(seconds, 1),
                )
            )
