"""`python -m training adapt`: the options, and what is said of what was learned."""

from pathlib import Path
from typing import Annotated

import torch
import typer
from accelerate import Accelerator
from longtail.export.errors import ExportError
from rich.progress import Progress

from evaluation.dataset import DatasetError
from training.adapt.encoder import Kind
from training.adapt.objective import Objective
from training.adapt.run import CHECKPOINT, TASKS, TOLERANCE, Recipe
from training.adapt.run import adapt as run_adapt
from training.precision import device_precision
from training.steps import Plan, StateError
from training.steps import Progress as Learning
from training.terminal import COLUMNS, NOTHING, USAGE, console, fail


def adapt(
    data: Annotated[Path, typer.Argument(exists=True, help="A folder of data, with queries.")],
    model: Annotated[
        str, typer.Option(help="Hugging Face id or folder of the checkpoint to begin with.")
    ],
    out: Annotated[
        Path, typer.Option(file_okay=False, help="Folder of the checkpoint, figures and state.")
    ] = Path("adapted"),
    tasks: Annotated[
        str, typer.Option(help="In turn: queries, pseudo, descriptions, likes, dropout, views.")
    ] = "queries,descriptions,likes",
    kind: Annotated[Kind, typer.Option(help="Of the adapter.")] = Kind.LORA,
    rank: Annotated[int, typer.Option(min=1, max=256, help="Of the adapter.")] = 16,
    steps: Annotated[int, typer.Option(min=1, help="How often weights are moved.")] = 200,
    batch: Annotated[int, typer.Option(min=2, help="Pairs that are told from each other.")] = 64,
    part: Annotated[int, typer.Option(min=1, help="Texts computed at a time.")] = 32,
    look: Annotated[int, typer.Option(min=1, help="Steps between looks at the queries.")] = 20,
    rate: Annotated[float, typer.Option(min=0, help="Step size.")] = 5e-4,
    max_tokens: Annotated[int, typer.Option(min=8, help="Read of each text.")] = 64,
    restraint: Annotated[
        float, typer.Option(min=0, help="What it costs to move a vector away from where it was.")
    ] = 3.0,
    temperature: Annotated[
        float, typer.Option(min=0.001, help="Of cosines: the lower, the finer they are told apart.")
    ] = 0.05,
    matryoshka: Annotated[
        str, typer.Option(help="Lengths at which vectors shall be good too: 64,128,256.")
    ] = "",
    min_rating: Annotated[
        float | None, typer.Option(help="The least rating of a like. [all are]")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, max=1, help="By which share queries may become worse.")
    ] = TOLERANCE,
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Adapt an encoder to a catalogue: refused when queries that it did not see become worse."""
    recipe = Recipe(
        tasks=tuple(tasks.split(",")),
        kind=kind,
        rank=rank,
        max_tokens=max_tokens,
        min_rating=min_rating,
        tolerance=tolerance,
        objective=Objective(restraint, temperature, _lengths(matryoshka)),
        plan=Plan(steps, batch, part, look, rate, seed),
    )
    if unknown := [name for name in recipe.tasks if name not in TASKS]:
        fail(f"{unknown[0]!r} is no task; there are {', '.join(TASKS)}", USAGE)
    # Told of no device, it would not spread over the processes of a CPU.
    accelerator = Accelerator(
        cpu=not torch.cuda.is_available(), mixed_precision=device_precision(precision)
    )
    try:
        with Progress(*COLUMNS, console=console, disable=not accelerator.is_main_process) as bars:
            bar = bars.add_task("adapting", total=steps, rate="")

            def tell(done: Learning) -> None:
                speed = batch * (bars.tasks[bar].speed or 0.0) * accelerator.num_processes
                best = f"best {done.best:.4f} at {done.best_step}, {speed:,.1f} pairs/s"
                bars.update(bar, completed=done.step, rate=best)

            found = run_adapt(model, data, out, recipe, accelerator, tell)
    except (DatasetError, ExportError, StateError) as error:
        fail(str(error), USAGE)
    if not accelerator.is_main_process:
        return
    low, high = found.interval
    console.print(
        f"NDCG@10 of {found.queries} queries that nothing was learned from: {found.before:.4f} "
        f"before, {found.after:.4f} after ({found.after / found.before - 1:+.1%}; difference "
        f"{low:+.4f} to {high:+.4f})",
        soft_wrap=True,
    )
    if not found.taken:
        fail("queries did not become better: no checkpoint was written", NOTHING)
    console.print(
        f"{out / CHECKPOINT}: export it with longtail-export {out / CHECKPOINT} ARTEFACT",
        markup=False,
        soft_wrap=True,
    )


def _lengths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(each) for each in text.split(",") if each)
    except ValueError:
        fail(f"{text!r} are no lengths, such as 64,128,256", USAGE)
