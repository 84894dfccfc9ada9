"""`python -m training head|measure|adapt|distil DATA`: train what a catalogue has to teach.

Exit codes: 0 done, 2 wrong usage or data that do not allow it, 3 nothing was gained.
"""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from longtail.runtime.settings import SettingsError
from longtail.server.ranking.head.fitting import ROUNDS, STEPS
from longtail.server.ranking.head.learning import BATCH, USUAL, Recipe
from longtail.worker.artefact import ArtefactError
from longtail.worker.devices import DeviceError
from rich.progress import Progress, TaskID
from rich.table import Table

from evaluation.dataset import DatasetError
from evaluation.opinions import read_opinions
from training.adapt.command import adapt
from training.distil.command import distil
from training.head import HEAD, LOG, Learned, best, learned, material, text_vectors, write
from training.measuring import Effect, effects
from training.terminal import COLUMNS, NOTHING, USAGE, console, fail

Data = Annotated[Path, typer.Argument(help="A folder of data, or a server's longtail.db.")]
MinRating = Annotated[float | None, typer.Option(help="The least rating of a like. [all are]")]

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def training() -> None:
    """Train what a catalogue's behaviour and words have to teach."""


@app.command()
def head(
    data: Data,
    out: Annotated[
        Path, typer.Option(file_okay=False, help=f"Folder for {HEAD} and {LOG}.")
    ] = Path("head"),
    min_rating: MinRating = None,
    seeds: Annotated[int, typer.Option(min=1, help="Heads to learn; the best is written.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of the first head; then by one more.")] = 0,
    restraint: Annotated[
        float, typer.Option(min=0, help="What it costs to move a vector away from its text.")
    ] = USUAL.restraint,
    tail_weight: Annotated[
        float,
        typer.Option(min=-2, max=0, help="Pairs are drawn with popularity to this power; 0: not."),
    ] = USUAL.tail_weight,
) -> None:
    """Learn a head: vectors of texts moved to where what the same people like is near."""
    recipe = Recipe(restraint=restraint, tail_weight=tail_weight)
    try:
        found = _learned(data, min_rating, recipe, range(seed, seed + seeds))
    except (DatasetError, SettingsError, ArtefactError, DeviceError) as error:
        fail(str(error), USAGE)
    taken = best(found)
    write(taken, found, out)
    if taken is None:
        fail("\n".join(f"seed {each.seed}: {each.why}" for each in found), NOTHING)
    console.print(_table(found))
    console.print(
        "Text queries go by the vectors of the texts, as before: they are not touched.\n"
        f"{taken.version} written to {out / HEAD}, its rounds to {out / LOG}",
        markup=False,
        soft_wrap=True,
    )


@app.command()
def measure(
    data: Data,
    min_rating: MinRating = None,
    people: Annotated[int, typer.Option(min=10, help="Requests of each kind, at most.")] = 400,
    seeds: Annotated[int, typer.Option(min=1, help="Heads, each with cold items of its own.")] = 3,
) -> None:
    """Measure what heads are worth to the system: cold items, the tail, all, and the dial."""
    with Progress(*COLUMNS, console=console) as bars:
        try:
            opinions = read_opinions(data, min_rating)
            reading = bars.add_task("text vectors", total=None, rate="")
            encoder, vectors = text_vectors(opinions, partial(_advance, bars, reading))
            bars.remove_task(reading)
            bar = bars.add_task("heads", total=ROUNDS * STEPS, rate="")
            for found in effects(
                opinions,
                encoder,
                vectors,
                people,
                range(seeds),
                lambda done: bars.update(bar, completed=done),
                lambda line: bars.console.print(line, markup=False, highlight=False),
            ):
                bars.console.print(_effects(found))
        except (DatasetError, SettingsError, ArtefactError, DeviceError) as error:
            fail(str(error), USAGE)


def _effects(found: list[Effect]) -> Table:
    """Return a table of effects."""
    table = Table(box=None)
    for name in ("", "before", "after", "", "difference [95 %]"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for each in found:
        more = each.difference
        table.add_row(
            each.name,
            f"{each.without:.4f}",
            f"{each.with_head:.4f}",
            f"{each.with_head / each.without - 1:+.0%}" if each.without else "",
            f"{more.value:+.4f} [{more.low:+.4f}, {more.high:+.4f}]",
        )
    return table


def _advance(bars: Progress, task: TaskID, done: int, total: int) -> None:
    bars.update(task, completed=done, total=total)


def _learned(data: Path, min_rating: float | None, recipe: Recipe, seeds: range) -> list[Learned]:
    with Progress(*COLUMNS, console=console) as bars:
        reading = bars.add_task("text vectors", total=None, rate="")
        given = material(data, min_rating, partial(_advance, bars, reading))
        bars.update(reading, completed=1, total=1)
        found = []
        for seed in seeds:
            bar = bars.add_task(f"head, seed {seed}", total=ROUNDS * STEPS, rate="")

            def step(done: int, bar: TaskID = bar) -> None:
                speed = bars.tasks[bar].speed or 0.0
                bars.update(bar, completed=done, rate=f"{BATCH * speed:,.0f} pairs/s")

            found.append(learned(given, recipe, seed, step))
            bars.update(bar, completed=ROUNDS * STEPS)
        return found


def _table(found: list[Learned]) -> Table:
    """Return the figures of every seed beside those of the texts alone."""
    table = Table()
    before = dict(found[0].rounds[0][1].figures)
    for name in ("", *before):
        table.add_column(name, justify="right" if name else "left")
    table.add_row("text alone", *(f"{value:.4f}" for value in before.values()))
    for each in found:
        if each.head is None:
            table.add_row(f"seed {each.seed}: {each.why}")
            continue
        after = each.head.facts["with the head"]
        cells = (
            f"{after[name]:.4f} ({after[name] / was - 1:+.0%})" for name, was in before.items()
        )
        table.add_row(f"seed {each.seed}", *cells)
    return table


app.command()(adapt)
app.command()(distil)

if __name__ == "__main__":
    app()
