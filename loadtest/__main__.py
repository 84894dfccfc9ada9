"""`python -m loadtest`: offer a constant load to a running server and hold it to objectives.

Exit codes: 0 done and every objective met, 1 an objective missed, 2 wrong usage or no server.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from longtail.client import AsyncLongtailClient, LongtailError
from longtail.v1.recommendation_service_pb2 import RecommendRequest
from rich.console import Console

from loadtest import report
from loadtest.measurements import Measurements
from loadtest.objectives import ObjectiveError, parse_objective
from loadtest.open_loop import Schedule
from loadtest.scenarios import (
    Scenario,
    ScenarioError,
    catalogue_titles,
    demo_users,
    make_requests,
    read_column,
)
from loadtest.target import connect, is_loopback, run

MISSED = 1
USAGE = 2

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    rate: Annotated[float, typer.Option(min=0.1, max=100_000, help="Requests per second.")],
    seconds: Annotated[float, typer.Option(min=0.1, max=3_600, help="How long, warm-up apart.")],
    warmup: Annotated[float, typer.Option(min=0, max=600, help="Seconds, not counted.")] = 5.0,
    scenario: Annotated[Scenario, typer.Option(help="What is asked.")] = Scenario.MIXED,
    address: Annotated[
        str, typer.Option(envvar="LONGTAIL_SERVER_ADDRESS", help="host:port of the server.")
    ] = "127.0.0.1:50051",
    slo: Annotated[
        list[str] | None, typer.Option(help="p99=50ms, errors=0.1%; repeatable.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write JSON there.")] = None,
    queries: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Queries: lines, or a .csv with a column query. [the catalogue's titles]",
        ),
    ] = None,
    users: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Persons: lines, or a .csv with a column user_id. [1 to 943, as in the demo]",
        ),
    ] = None,
    connections: Annotated[int, typer.Option(min=1, max=64)] = 1,
    max_in_flight: Annotated[
        int, typer.Option(min=1, max=10_000, help="Requests past it are counted as not sent.")
    ] = 500,
    deadline: Annotated[float, typer.Option(min=0.001, max=60, help="Seconds per request.")] = 5.0,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Load a server on another machine.")
    ] = False,
) -> None:
    """Offer RATE requests per second, come what may; measure from when each was due."""
    try:
        objectives = [parse_objective(text) for text in slo or ()]
    except ObjectiveError as error:
        _fail(str(error))
    if not allow_remote and not is_loopback(address):
        _fail(f"{address} is not on this machine; --allow-remote loads it all the same")
    schedule = Schedule(
        rate=rate, seconds=seconds, warmup_seconds=warmup, max_in_flight=max_in_flight
    )

    async def offer() -> Measurements:
        requests = await _requests(address, scenario, queries, users, deadline)
        async with connect(
            address, connections=connections, deadline_seconds=deadline
        ) as recommenders:
            return await run(schedule, requests, recommenders)

    try:
        measured = asyncio.run(offer())
    except (LongtailError, ScenarioError) as error:
        _fail(f"{address}: {error}")
    report.show(Console(highlight=False), schedule, measured, objectives)
    if json_file is not None:
        outcome = report.as_json(schedule, measured, objectives)
        json_file.write_text(json.dumps(outcome, indent=2) + "\n", encoding="utf-8")
    if not all(objective.is_met(measured) for objective in objectives):
        raise typer.Exit(MISSED)


async def _requests(
    address: str, scenario: Scenario, queries: Path | None, users: Path | None, deadline: float
) -> list[RecommendRequest]:
    async with AsyncLongtailClient(address, timeout=deadline) as client:
        # Fails here and now when there is no server to be loaded.
        await client.server_info()
        persons = read_column(users, "user_id") if users else demo_users()
        if queries:
            texts = read_column(queries, "query")
        elif scenario is Scenario.PERSON:
            texts = []
        else:
            texts = await catalogue_titles(client)
    return make_requests(scenario, texts, persons)


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"loadtest: {message}\n")
    raise typer.Exit(USAGE)


if __name__ == "__main__":
    app()
