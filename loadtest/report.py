"""The outcome of a load test: a table for people, the same as JSON for programs."""

import math
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from loadtest.measurements import PERCENTILES, STAGES, Latencies, Measurements
from loadtest.objectives import Objective
from loadtest.open_loop import Schedule


def as_json(
    schedule: Schedule, measured: Measurements, objectives: Sequence[Objective]
) -> dict[str, Any]:
    """Return the outcome; times are in milliseconds, null where there is none (never answered)."""
    return {
        "offered_rate": schedule.rate,
        "achieved_rate": measured.achieved_rate,
        "seconds": measured.seconds,
        "offered": measured.offered,
        "answered": measured.latency.count,
        "not_sent": measured.not_sent,
        "errors": dict(measured.errors),
        "error_share": measured.error_share,
        "latency_ms": _milliseconds(measured.latency, measured.offered),
        "client_lag_ms": _milliseconds(measured.lag, measured.lag.count),
        "server_ms": {
            stage: _milliseconds(measured.stages[stage], measured.stages[stage].count)
            for stage in STAGES
        },
        "objectives": {objective.text: objective.is_met(measured) for objective in objectives},
    }


def show(
    console: Console,
    schedule: Schedule,
    measured: Measurements,
    objectives: Sequence[Objective],
) -> None:
    """Print the outcome."""
    console.print(
        f"offered {schedule.rate:g}/s, answered {measured.achieved_rate:.1f}/s: "
        f"{measured.offered:,} offered, {measured.latency.count:,} answered, "
        f"{sum(measured.errors.values()):,} failed, "
        f"{measured.not_sent:,} not sent because too many were in flight"
    )
    for code, count in measured.errors.most_common():
        console.print(f"  {code}: {count:,}")
    table = Table(caption="ms; a request that failed or was not sent counts as never answered")
    table.add_column("")
    for heading in (*(f"p{percentile:g}" for percentile in PERCENTILES), "max"):
        table.add_column(heading, justify="right")
    rows = [("latency from the intended start", measured.latency, measured.offered)]
    rows += [(f"server: {stage}", times, times.count) for stage, times in measured.stages.items()]
    rows.append(("this client's own lag", measured.lag, measured.lag.count))
    for name, latencies, offered in rows:
        values = _milliseconds(latencies, offered).values()
        table.add_row(name, *("never" if value is None else f"{value:.2f}" for value in values))
    console.print(table)
    for objective in objectives:
        verdict = "met" if objective.is_met(measured) else "MISSED"
        console.print(f"objective {objective.text}: {verdict}")


def _milliseconds(latencies: Latencies, offered: int) -> dict[str, float | None]:
    values = {
        f"p{percentile:g}": latencies.percentile(percentile, offered=offered)
        for percentile in PERCENTILES
    }
    values["max"] = latencies.longest()
    return {
        name: round(seconds * 1e3, 3) if math.isfinite(seconds) else None
        for name, seconds in values.items()
    }
