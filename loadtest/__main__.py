"""`python -m loadtest`: load a running server, find its highest rate, compare two reports.

Exit codes: 0 done and every objective met, 1 an objective missed or a report worse than another, 2
wrong usage or no server, 130 interrupted, 143 terminated: what was written is removed first.
"""

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from longtail.client import LongtailError
from rich.console import Console
from rich.table import Table

from loadtest.comparison import TOLERANCE, ComparisonError, changes
from loadtest.load import Asked, Load, serving
from loadtest.material import MaterialError
from loadtest.objectives import Objective, ObjectiveError, parse_objective
from loadtest.open_loop import Arrivals, Schedule
from loadtest.page import page
from loadtest.report import show_found, show_trial
from loadtest.scenarios import Scenario
from loadtest.search import Found, highest_rate
from loadtest.target import is_loopback
from loadtest.trial import Json, Trial

MISSED = 1
USAGE = 2
# Of what a report is written as.
FORMAT = 1
# Between two trials of a search, for what the first left behind.
PAUSE_SECONDS = 1.0

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__
)

Rate = Annotated[float, typer.Option(min=0.1, max=100_000, help="Requests per second.")]
Seconds = Annotated[float, typer.Option(min=0.1, max=7_200, help="How long, warm-up apart.")]
Warmup = Annotated[float, typer.Option(min=0, max=600, help="Seconds, not counted.")]
What = Annotated[Scenario, typer.Option(help="What is asked.")]
Spread = Annotated[Arrivals, typer.Option(help="How requests follow each other.")]
Address = Annotated[
    str, typer.Option(envvar="LONGTAIL_SERVER_ADDRESS", help="host:port of the server.")
]
WorkerAddress = Annotated[
    str,
    typer.Option(envvar="LONGTAIL_WORKER_ADDRESS", help="Of the worker, to see what it takes."),
]
Slo = Annotated[list[str] | None, typer.Option(help="p99=50ms, errors=0.1%; repeatable.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the report there.")]
HtmlFile = Annotated[Path | None, typer.Option("--html", help="Write a page with plots there.")]
Data = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        file_okay=False,
        help="A folder of queries.csv or items.csv, and interactions.csv, to ask with.",
    ),
]
Queries = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        help="Queries: lines, or a .csv with a column query. [the catalogue's titles]",
    ),
]
Users = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        help="Persons: lines, or a .csv with a column user_id. [1 to 943, as in the demo]",
    ),
]
Connections = Annotated[int, typer.Option(min=1, max=64)]
InFlight = Annotated[
    int, typer.Option(min=1, max=10_000, help="Requests past it are counted as not sent.")
]
Deadline = Annotated[float, typer.Option(min=0.001, max=60, help="Seconds per request.")]
Remote = Annotated[bool, typer.Option("--allow-remote", help="Load a server on another machine.")]
Writes = Annotated[
    bool, typer.Option("--allow-writes", help="For the scenarios that write; taken away after.")
]

_ADDRESS, _WORKER_ADDRESS = "127.0.0.1:50051", "127.0.0.1:50052"


@app.command()
def run(
    rate: Rate,
    seconds: Seconds,
    warmup: Warmup = 5.0,
    scenario: What = Scenario.MIXED,
    arrivals: Spread = Arrivals.CONSTANT,
    address: Address = _ADDRESS,
    worker_address: WorkerAddress = _WORKER_ADDRESS,
    slo: Slo = None,
    json_file: JsonFile = None,
    html_file: HtmlFile = None,
    data: Data = None,
    queries: Queries = None,
    users: Users = None,
    connections: Connections = 1,
    max_in_flight: InFlight = 500,
    deadline: Deadline = 5.0,
    allow_remote: Remote = False,
    allow_writes: Writes = False,
) -> None:
    """Offer RATE requests per second, come what may; measure from when each was due."""
    objectives = _objectives(slo)
    asked = _asked(
        Asked(scenario, address, worker_address, data, queries, users, connections, deadline),
        allow_remote,
        allow_writes,
    )
    schedule = Schedule(rate, seconds, warmup, max_in_flight, arrivals)

    async def offer(load: Load) -> Json:
        trial = await load.trial(schedule, objectives)
        return {"trials": [trial.outcome]}

    report = _served(asked, "run", objectives, offer)
    [outcome] = report["trials"]
    show_trial(Console(highlight=False), outcome)
    _written(report, json_file, html_file)
    if not all(outcome["objectives"].values()):
        raise typer.Exit(MISSED)


@app.command()
def search(
    slo: Annotated[list[str], typer.Option(help="p99=50ms, errors=0.1%; repeatable.")],
    rate: Annotated[float, typer.Option(min=0.1, help="The first rate that is tried.")] = 20.0,
    most: Annotated[float, typer.Option(min=0.1, help="The highest that is tried.")] = 5_000.0,
    seconds: Annotated[float, typer.Option(min=1, max=600, help="Of each trial.")] = 10.0,
    warmup: Warmup = 2.0,
    scenario: What = Scenario.MIXED,
    arrivals: Spread = Arrivals.POISSON,
    address: Address = _ADDRESS,
    worker_address: WorkerAddress = _WORKER_ADDRESS,
    json_file: JsonFile = None,
    html_file: HtmlFile = None,
    data: Data = None,
    queries: Queries = None,
    users: Users = None,
    connections: Connections = 1,
    max_in_flight: InFlight = 500,
    deadline: Deadline = 5.0,
    allow_remote: Remote = False,
    allow_writes: Writes = False,
) -> None:
    """Find the highest rate that meets the objectives, at which half of the trials do."""
    objectives = _objectives(slo)
    asked = _asked(
        Asked(scenario, address, worker_address, data, queries, users, connections, deadline),
        allow_remote,
        allow_writes,
    )
    console, progress = Console(highlight=False), Console(stderr=True, highlight=False)

    async def offer(load: Load) -> Json:
        async def trial(rate: float) -> Trial:
            schedule = Schedule(rate, seconds, warmup, max_in_flight, arrivals)
            done = await load.trial(schedule, objectives)
            p99 = done.outcome["latency_ms"]["p99"]
            progress.print(
                f"{rate:8.1f}/s: {'met' if done.is_met else 'missed'}, "
                f"p99 {'never' if p99 is None else f'{p99:.1f} ms'}"
            )
            await asyncio.sleep(PAUSE_SECONDS)
            return done

        found = await highest_rate(rate, most, trial)
        return {
            "rate": found.rate,
            "limited": found.limited,
            "trials": [each.outcome for each in found.trials],
        }

    report = _served(asked, "search", objectives, offer)
    show_found(console, Found(report["rate"], report["limited"]))
    _written(report, json_file, html_file)
    if not report["rate"]:
        raise typer.Exit(MISSED)


@app.command()
def compare(
    before: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    after: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    tolerance: Annotated[
        float, typer.Option(min=0, help="A change of more than this share is one.")
    ] = TOLERANCE,
) -> None:
    """Hold two reports of --json against each other; 1 when the second is worse."""
    try:
        found = changes(_read(before), _read(after))
    except ComparisonError as error:
        _fail(str(error))
    table = Table("", "before", "after", "", highlight=False)
    for change in found:
        verdict = "WORSE" if change.is_worse(tolerance) else ""
        table.add_row(change.name, _plain(change.before), _plain(change.after), verdict)
    Console(highlight=False).print(table)
    if worse := [change.name for change in found if change.is_worse(tolerance)]:
        _say(f"worse by more than {tolerance:.0%}: {', '.join(worse)}")
        raise typer.Exit(MISSED)


def _served(
    asked: Asked,
    kind: str,
    objectives: list[Objective],
    offer: Callable[[Load], Awaitable[Json]],
) -> Json:
    """Return the report of what `offer` does to the server, ready to be written."""

    async def load() -> Json:
        _end_when_terminated()
        async with serving(asked) as load:
            head = {
                "format": FORMAT,
                "kind": kind,
                "started": datetime.now(UTC).isoformat(timespec="seconds"),
                "address": asked.address,
                "scenario": asked.scenario.value,
                "server": load.server,
                "objectives": [objective.text for objective in objectives],
            }
            return head | await offer(load)

    try:
        return asyncio.run(load())
    except (LongtailError, MaterialError, OSError) as error:
        _fail(f"{asked.address}: {error}")
    except KeyboardInterrupt:
        _fail("interrupted before its end", 128 + signal.SIGINT)
    except asyncio.CancelledError:
        _fail("terminated before its end", 128 + signal.SIGTERM)


def _end_when_terminated() -> None:
    """Have SIGTERM cancel this task as an interruption does: what was written is removed."""
    task = asyncio.current_task()

    def cancel() -> None:
        # Once: some send it to the process and to its group.
        if task is not None and not task.cancelling():
            task.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, cancel)


def _asked(asked: Asked, allow_remote: bool, allow_writes: bool) -> Asked:
    if not allow_remote and not is_loopback(asked.address):
        _fail(f"{asked.address} is not on this machine; --allow-remote loads it all the same")
    if asked.scenario.writes and not allow_writes:
        _fail(
            f"the scenario {asked.scenario.value} writes to the catalogue, and takes away after it "
            "what it wrote; --allow-writes lets it"
        )
    return asked


def _objectives(texts: list[str] | None) -> list[Objective]:
    try:
        return [parse_objective(text) for text in texts or ()]
    except ObjectiveError as error:
        _fail(str(error))


def _written(report: Json, json_file: Path | None, html_file: Path | None) -> None:
    if json_file is not None:
        json_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if html_file is not None:
        html_file.write_text(page(report), encoding="utf-8")


def _read(file: Path) -> Json:
    try:
        report: Json = json.loads(file.read_text(encoding="utf-8"))
        known = report["format"] == FORMAT
    except (ValueError, KeyError, TypeError):
        known = False
    if not known:
        _fail(f"{file} is no report of this load test")
    return report


def _plain(value: float | None) -> str:
    return "never" if value is None else f"{value:,.3g}" if value < 100 else f"{value:,.0f}"


def _say(message: str) -> None:
    sys.stderr.write(f"loadtest: {message}\n")


def _fail(message: str, code: int = USAGE) -> NoReturn:
    _say(message)
    raise typer.Exit(code)


if __name__ == "__main__":
    app()
