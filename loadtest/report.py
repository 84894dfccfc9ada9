"""The outcome of a load test for people: a table in the terminal."""

from rich.console import Console
from rich.table import Table

from loadtest.measurements import PERCENTILES
from loadtest.search import Found
from loadtest.trial import Json

_HEADINGS = (*(f"p{percentile:g}" for percentile in PERCENTILES), "max")


def show_trial(console: Console, outcome: Json) -> None:
    """Print what one rate gave."""
    console.print(
        f"offered {outcome['offered_rate']:g}/s, answered {outcome['achieved_rate']:.1f}/s: "
        f"{outcome['offered']:,} offered, {outcome['answered']:,} answered, "
        f"{sum(outcome['errors'].values()):,} failed, "
        f"{outcome['not_sent']:,} not sent because too many were in flight"
    )
    for code, count in sorted(outcome["errors"].items(), key=lambda each: -each[1]):
        console.print(f"  {code}: {count:,}")
    table = Table(caption="ms; a request that failed or was not sent counts as never answered")
    table.add_column("")
    for heading in _HEADINGS:
        table.add_column(heading, justify="right")
    rows = [("latency from the intended start", outcome["latency_ms"])]
    if len(outcome["methods_ms"]) > 1:
        rows += list(outcome["methods_ms"].items())
    rows += [(f"server: {stage}", times) for stage, times in outcome["server_ms"].items()]
    rows.append(("this client's own lag", outcome["client_lag_ms"]))
    for name, values in rows:
        table.add_row(name, *(_written(values[heading]) for heading in _HEADINGS))
    console.print(table)
    for name, taken in outcome["processes"].items():
        console.print(f"{name}: {taken['cpus']:.2f} CPUs, {taken['megabytes']:,.0f} MB")
    if "imported_per_second" in outcome:
        console.print(f"imported beside it: {outcome['imported_per_second']:.1f} items/s")
    for objective, is_met in outcome["objectives"].items():
        console.print(f"objective {objective}: {'met' if is_met else 'MISSED'}")


def show_found(console: Console, found: Found) -> None:
    """Print which rate was found."""
    if not found.rate:
        console.print("no rate was found that meets the objectives")
    elif found.limited:
        console.print(f"{found.rate:.1f}/s, the highest rate that was allowed, meets them")
    else:
        console.print(f"the highest rate that meets the objectives: {found.rate:.1f}/s")


def _written(value: float | None) -> str:
    return "never" if value is None else f"{value:.2f}"
