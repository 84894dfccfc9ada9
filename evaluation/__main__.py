"""`python -m evaluation DATA --out DIR`: evaluate; `python -m evaluation fit DATA`: fit a profile.

Exit codes: 0 done, 2 wrong usage or data that do not allow it, 3 a fit that is not reliable.
"""

import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from longtail.runtime.errors import ServiceError
from longtail.runtime.settings import SettingsError
from longtail.server.ranking.expected_exposure import write_exposure
from longtail.server.ranking.profile import write_profile
from longtail.worker.artefact import ArtefactError
from longtail.worker.devices import DeviceError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from evaluation import experiment as experiments
from evaluation.dataset import DatasetError
from evaluation.experiment import Options
from evaluation.fit import fit_profile
from evaluation.query_run import evaluate_queries
from evaluation.report.folder import write, write_part
from evaluation.report.lines import summary, told
from evaluation.report.results import Part
from evaluation.run import evaluate, evaluate_base, evaluate_dial
from evaluation.splits import SplitMethod


class Only(StrEnum):
    """A part of the evaluation that can be had alone."""

    BASE = "base"
    DIAL = "dial"
    QUERIES = "queries"


PARTS: dict[Only, Callable[[Path, Options, int, experiments.Stage], Part]] = {
    Only.BASE: evaluate_base,
    Only.DIAL: evaluate_dial,
    Only.QUERIES: evaluate_queries,
}

USAGE, UNRELIABLE = 2, 3
FIT = "fit"

console = Console()

Folder = Annotated[Path, typer.Argument(help="items.csv and interactions.csv.")]
Split = Annotated[SplitMethod, typer.Option("--split", help="How train, valid and test are cut.")]
MinRating = Annotated[float | None, typer.Option(help="The least rating of a like. [all are]")]
Pool = Annotated[int, typer.Option(min=20, max=2000, help="Candidates of each request.")]
People = Annotated[int, typer.Option(min=10, help="Requests of a period, at most.")]
Seed = Annotated[int, typer.Option(min=0, help="Of all that is drawn.")]
Test = Annotated[float, typer.Option(min=0.01, max=0.5, help="Share of the rows for the test.")]
Valid = Annotated[float, typer.Option(min=0.01, max=0.5, help="Share of the rows to fit on.")]


def run(
    data: Folder,
    out: Annotated[
        Path, typer.Option(file_okay=False, help="Folder for report.json, the plots and the page.")
    ],
    split: Split = SplitMethod.USER_TIME,
    min_rating: MinRating = None,
    k: Annotated[
        list[int] | None,
        typer.Option(min=1, max=100, help="List lengths; the first is plotted. [10 and 20]"),
    ] = None,
    pool: Pool = 200,
    people: People = 2000,
    valid: Valid = 0.2,
    test: Test = 0.2,
    seed: Seed = 0,
    fast: Annotated[
        bool, typer.Option("--fast", help="Leave out the methods of others whose code is slow.")
    ] = False,
    only: Annotated[
        Only | None,
        typer.Option(
            help="A part alone, quickly: the recommenders underneath, what the dial promises for "
            "people, or queries in words."
        ),
    ] = None,
) -> None:
    """Compare Longtail's re-ranking with what others published, on a folder of data."""
    options = Options(split, valid, test, min_rating, pool, people, seed, fast)
    command = shlex.join(("python", "-m", "evaluation", *sys.argv[1:]))
    if only is not None:
        with _complained():
            found = PARTS[only](data, options, (k or [10])[0], _stage)
        file = write_part(only, found, out)
        _show(told(found))
        console.print(f"Written to {file}", markup=False, soft_wrap=True)
        return
    with _complained():
        report = evaluate(data, options, k or [10, 20], command, _stage)
    write(report, out)
    _show(summary(report))
    console.print(f"Written to {out / 'index.html'}", markup=False, soft_wrap=True)


def fit(
    data: Annotated[Path, typer.Argument(help="A folder as above, or a server's longtail.db.")],
    out: Annotated[Path, typer.Option(dir_okay=False, help="The profile.")] = Path(
        "ranking-profile.json"
    ),
    split: Split = SplitMethod.USER_TIME,
    min_rating: MinRating = None,
    pool: Pool = 200,
    people: People = 2000,
    valid: Valid = 0.2,
    test: Test = 0.2,
    seed: Seed = 0,
) -> None:
    """Fit a ranking profile: on the latest share of the rows, from what went before."""
    options = Options(split, valid, test, min_rating, pool, people, seed)
    with _complained():
        fitted = fit_profile(data, options, _stage)
    if fitted.unreliable:
        _fail(
            "\n".join(("not written: P(relevant) is not reliable", *fitted.unreliable)), UNRELIABLE
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    # The profile comes last: who follows it finds the exposure that belongs to it.
    write_exposure(fitted.exposure, out)
    write_profile(fitted.profile, out)
    console.print(f"{fitted.profile.version} written to {out}", markup=False, soft_wrap=True)


@contextmanager
def _stage(name: str) -> Iterator[experiments.Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as bars:
        bar = bars.add_task(name, total=None)

        def tell(done: int, total: int) -> None:
            bars.update(bar, completed=done, total=total)

        yield tell
        if bars.tasks[bar].total is None:
            tell(1, 1)


@contextmanager
def _complained() -> Iterator[None]:
    try:
        yield
    except (DatasetError, SettingsError, ArtefactError, DeviceError, ServiceError) as error:
        _fail(str(error))


def _show(lines: Iterable[str]) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _fail(message: str, code: int = USAGE) -> NoReturn:
    Console(stderr=True).print(message, style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(code)


def main() -> None:
    """Run the command line."""
    if sys.argv[1:2] == [FIT]:
        del sys.argv[1]
        typer.run(fit)
    else:
        typer.run(run)


if __name__ == "__main__":
    main()
