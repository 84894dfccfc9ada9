"""One load of one rate, and what was seen: as JSON has it, which is all that a report knows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadtest.measurements import PERCENTILES, STAGES, Latencies, Measurements
from loadtest.objectives import Objective
from loadtest.open_loop import Schedule
from loadtest.processes import Watch

# A plot over time has at most so many points; each is of a second or more.
TIMELINE = 300
CURVE = (0.0, 50.0, 75.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.9, 99.99)

Json = dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """What was seen, and whether all objectives are met."""

    outcome: Json
    is_met: bool


def trial_of(
    schedule: Schedule,
    measured: Measurements,
    objectives: Sequence[Objective],
    watch: Watch,
    imported: int | None,
) -> Trial:
    """Return a trial; times are in milliseconds, null where there is none (never answered).

    `imported`: items that were written by an import beside it, None without one.
    """
    met = {objective.text: objective.is_met(measured) for objective in objectives}
    outcome: Json = {
        "offered_rate": schedule.rate,
        "arrivals": schedule.arrivals.value,
        "achieved_rate": round(measured.achieved_rate, 3),
        "seconds": round(measured.seconds, 3),
        "offered": measured.offered,
        "answered": measured.latency.count,
        "not_sent": measured.not_sent,
        "errors": dict(measured.errors),
        "error_share": measured.error_share,
        "latency_ms": _percentiles(measured.latency, measured.offered),
        "methods_ms": {
            method: {"answered": each.count} | _percentiles(each, each.count)
            for method, each in sorted(measured.methods.items())
        },
        "client_lag_ms": _percentiles(measured.lag, measured.lag.count),
        "server_ms": {
            stage: _percentiles(measured.stages[stage], measured.stages[stage].count)
            for stage in STAGES
        },
        "curve_ms": [[percent, _milliseconds(measured.percentile(percent))] for percent in CURVE],
        "timeline": _timeline(schedule, measured),
        "processes": {name: _process(watch, name) for name in watch.samples},
        "objectives": met,
    }
    if imported is not None:
        # It ran through the warm-up too.
        seconds = schedule.warmup_seconds + measured.seconds
        outcome["imported_per_second"] = round(imported / seconds, 3)
    return Trial(outcome, all(met.values()))


def _percentiles(latencies: Latencies, offered: int) -> dict[str, float | None]:
    values = {
        f"p{percent:g}": _milliseconds(latencies.percentile(percent, offered=offered))
        for percent in PERCENTILES
    }
    return values | {"max": _milliseconds(latencies.longest())}


def _milliseconds(seconds: float) -> float | None:
    return round(seconds * 1e3, 3) if np.isfinite(seconds) else None


def _timeline(schedule: Schedule, measured: Measurements) -> list[Json]:
    """Return what became of the requests that were due in each second, or few seconds."""
    due, taken = np.array(measured.due), np.array(measured.taken)
    width = max(1.0, schedule.seconds / TIMELINE)
    bins = np.maximum(due / width, 0).astype(np.int64)
    return [
        {"second": round(float(width * at), 3)} | _moment(taken[bins == at], width)
        for at in np.unique(bins).tolist()
    ]


def _moment(taken: NDArray[np.float64], width: float) -> Json:
    answered = taken[np.isfinite(taken)]

    def percentile(percent: float) -> float | None:
        return _milliseconds(float(np.percentile(answered, percent))) if len(answered) else None

    return {
        "offered": len(taken) / width,
        "answered": len(answered) / width,
        "p50_ms": percentile(50),
        "p99_ms": percentile(99),
    }


def _process(watch: Watch, name: str) -> Json:
    return {
        "cpus": round(watch.mean_cpus(name), 3),
        "megabytes": round(watch.most_megabytes(name), 1),
        "samples": [
            [round(each.moment, 1), round(each.cpus, 3), round(each.megabytes, 1)]
            for each in watch.samples[name]
        ],
    }
