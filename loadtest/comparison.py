"""Two reports side by side: what became better or worse, and by how much."""

from dataclasses import dataclass

from loadtest.processes import ITSELF
from loadtest.trial import Json

# From this share on a change is one; what is nearer may be the noise of the machine.
TOLERANCE = 0.1


class ComparisonError(ValueError):
    """Reports that cannot be held against each other; the message says why."""


@dataclass(frozen=True)
class Change:
    """A figure of both reports; `lower` says that the lower is the better one."""

    name: str
    before: float | None
    after: float | None
    lower: bool

    def is_worse(self, tolerance: float) -> bool:
        """Return whether it became worse by more than a share of what it was."""
        before, after = self.before, self.after
        if before is None or after is None:
            # None stands for never answered, which is the worst there is.
            return after is None and before is not None
        if self.lower:
            return after > before * (1 + tolerance)
        return after < before * (1 - tolerance)


def changes(before: Json, after: Json) -> list[Change]:
    """Return what can be compared; raise ComparisonError when the loads were not alike."""
    for name in ("kind", "scenario"):
        if before[name] != after[name]:
            raise ComparisonError(f"{name} differs: {before[name]!r} and {after[name]!r}")
    if before["kind"] == "search":
        if before["objectives"] != after["objectives"]:
            raise ComparisonError("the objectives differ")
        return [Change("highest rate", before["rate"], after["rate"], lower=False)]
    [first], [second] = before["trials"], after["trials"]
    if first["offered_rate"] != second["offered_rate"]:
        raise ComparisonError(
            f"the offered rates differ: {first['offered_rate']:g} and {second['offered_rate']:g}"
        )
    found = [Change("answered/s", first["achieved_rate"], second["achieved_rate"], lower=False)]
    found += [
        Change(f"latency {name} ms", first["latency_ms"][name], second["latency_ms"][name], True)
        for name in ("p50", "p90", "p99")
    ]
    found.append(Change("error share", first["error_share"], second["error_share"], lower=True))
    # What the load test takes itself is no figure of the server's.
    for name in sorted((first["processes"].keys() & second["processes"].keys()) - {ITSELF}):
        one, other = first["processes"][name], second["processes"][name]
        found.append(Change(f"{name} CPUs", one["cpus"], other["cpus"], lower=True))
        found.append(Change(f"{name} MB", one["megabytes"], other["megabytes"], lower=True))
    return found
