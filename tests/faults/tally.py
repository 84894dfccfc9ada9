"""What was gone through, counted for the table of faults."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Counts by name of one fault."""

    fault: str
    counts: Counter[str] = field(default_factory=Counter)
    greatest: dict[str, float] = field(default_factory=dict)

    def count(self, what: str, number: int = 1) -> None:
        """Add to a count."""
        self.counts[what] += number

    def most(self, what: str, value: float) -> None:
        """Keep the greatest value."""
        self.greatest[what] = max(value, self.greatest.get(what, value))

    def line(self) -> str:
        """Return all of it as one line."""
        counted = [f"{number} {what}" for what, number in self.counts.items()]
        greatest = [f"{what} at most {value:.3g}" for what, value in self.greatest.items()]
        return f"{self.fault}: {', '.join([*counted, *greatest])}"
