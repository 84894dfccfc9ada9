"""`python -m training distil`: the options, and what is said of what was learned."""

from pathlib import Path
from typing import Annotated

import torch
import typer
from accelerate import Accelerator
from longtail.export.errors import ExportError
from rich.progress import Progress
from rich.table import Table

from evaluation.dataset import DatasetError
from training.distil.run import CHECKPOINT, TOLERANCE, Distilled, Recipe
from training.distil.run import distil as run_distil
from training.precision import device_precision
from training.steps import Plan, StateError
from training.steps import Progress as Learning
from training.terminal import COLUMNS, NOTHING, USAGE, console, fail


def distil(
    data: Annotated[Path, typer.Argument(exists=True, help="A folder of data, with texts.")],
    model: Annotated[str, typer.Option(help="Hugging Face id or folder of the whole checkpoint.")],
    layers: Annotated[int, typer.Option(min=1, help="To be left.")],
    out: Annotated[
        Path, typer.Option(file_okay=False, help="Folder of the checkpoint, figures and state.")
    ] = Path("distilled"),
    steps: Annotated[int, typer.Option(min=1, help="How often weights are moved.")] = 200,
    batch: Annotated[int, typer.Option(min=1, help="Texts of a step.")] = 32,
    part: Annotated[int, typer.Option(min=1, help="Texts computed at a time.")] = 32,
    look: Annotated[int, typer.Option(min=1, help="Steps between looks at other texts.")] = 20,
    rate: Annotated[float, typer.Option(min=0, help="Step size.")] = 2e-4,
    max_tokens: Annotated[int, typer.Option(min=8, help="Read of each text.")] = 64,
    tolerance: Annotated[
        float, typer.Option(min=0, max=1, help="By which share queries may become worse.")
    ] = TOLERANCE,
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Distil an encoder into fewer layers: the vectors of a catalogue's texts, by less work."""
    recipe = Recipe(layers, max_tokens, tolerance, Plan(steps, batch, part, look, rate, seed))
    # Told of no device, it would not spread over the processes of a CPU.
    accelerator = Accelerator(
        cpu=not torch.cuda.is_available(), mixed_precision=device_precision(precision)
    )
    try:
        with Progress(*COLUMNS, console=console, disable=not accelerator.is_main_process) as bars:
            bar = bars.add_task("distilling", total=steps, rate="")

            def tell(done: Learning) -> None:
                speed = batch * (bars.tasks[bar].speed or 0.0) * accelerator.num_processes
                best = f"best {done.best:.4f} at {done.best_step}, {speed:,.1f} texts/s"
                bars.update(bar, completed=done.step, rate=best)

            found = run_distil(model, data, out, recipe, accelerator, tell)
    except (DatasetError, ExportError, StateError) as error:
        fail(str(error), USAGE)
    if not accelerator.is_main_process:
        return
    console.print(_table(found))
    if not found.taken:
        fail("too far from all layers: no checkpoint was written", NOTHING)
    console.print(
        f"{out / CHECKPOINT}: export it with longtail-export {out / CHECKPOINT} ARTEFACT",
        markup=False,
        soft_wrap=True,
    )


def _table(found: Distilled) -> Table:
    """Return what was said of texts that nothing was learned from."""
    table = Table(box=None)
    for name in ("", "cosine", "same neighbours", "query NDCG@10", "seconds"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    before, left = found.layers
    for name, each in (
        (f"all {before} layers", found.whole),
        (f"{left} layers, pruned", found.pruned),
        (f"{left} layers, distilled", found.after),
    ):
        table.add_row(
            name,
            f"{each.cosine:.4f}",
            f"{each.neighbours:.1%}",
            "" if each.ndcg is None else f"{each.ndcg:.4f}",
            f"{each.seconds:.1f}",
        )
    return table
