"""A section measures figures that belong together, with what a run gives to all of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

from longtail.export import checkpoint as checkpoints
from longtail.export.checkpoint import Checkpoint
from longtail.export.errors import ExportError

from bench import texts
from bench.bare import Bare
from bench.figures import Bar, Figure, Measured, NotRun, figures_of
from bench.generator import Generator
from bench.texts import Corpora

B = TypeVar("B")

# Vectors of texts that were seen before would be no measure of the encoder.
NO_CACHE = {"LONGTAIL_WORKER_CACHE_MB": "0"}


@dataclass(frozen=True)
class Bench:
    """What is measured, how long, and with what.

    `reference` is the fp32 export of the same checkpoint. `rounds` is how often the two sides of a
    comparison take turns, `seconds` how long each turn of an open loop is.
    """

    artefact: Path
    reference: Path | None
    checkpoint_folder: Path
    data: Path
    out: Path
    rounds: int
    seconds: float
    memory_batches: int
    generator: Generator
    say: Callable[[str], None]

    @cached_property
    def corpora(self) -> Corpora:
        """Texts to embed; raises NotRun without the data."""
        return texts.read(self.data)

    @cached_property
    def bare(self) -> Bare:
        """The artefact in this process; raises NotRun when it is none."""
        return Bare(self.artefact)

    @cached_property
    def fp32(self) -> Bare:
        """The reference in this process; raises NotRun when there is none."""
        if self.reference is None:
            raise NotRun("no fp32 artefact was given with --reference")
        reference = Bare(self.reference)
        if reference.manifest.precision != "fp32":
            raise NotRun(f"{self.reference} is {reference.manifest.precision}, not fp32")
        if reference.manifest.source_sha256 != self.bare.manifest.source_sha256:
            raise NotRun(f"{self.reference} is of another checkpoint than {self.artefact}")
        return reference

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The artefact's checkpoint; raises NotRun when it is not at hand."""
        try:
            checkpoint = checkpoints.read(str(self.checkpoint_folder))
            sha256 = checkpoints.weights_sha256(checkpoint)
        except (ExportError, OSError) as error:
            raise NotRun(f"the checkpoint cannot be read: {error}") from error
        if sha256 != self.bare.manifest.source_sha256:
            raise NotRun(f"{self.checkpoint_folder} is another checkpoint than the artefact's")
        return checkpoint

    def turns(self, title: str) -> range:
        """Iterate over the rounds, and say how far it is."""
        self.say(f"{title}: {self.rounds} rounds")
        return range(self.rounds)


@dataclass(frozen=True)
class Section(Generic[B]):
    """A section by its number or name; `measure` gives the figures that `bars` names.

    It is given what a run has for all of its sections.
    """

    number: int | str
    title: str
    bars: Mapping[str, Bar]
    measure: Callable[[B], Mapping[str, Measured]]

    def figures(self, bench: B) -> list[Figure]:
        """Measure; what fails is a figure that was not run, and the reason."""
        try:
            return figures_of(self.number, self.bars, self.measure(bench))
        except NotRun as error:
            return figures_of(self.number, self.bars, {}, str(error))
        # The other sections are worth their time whatever is wrong with this one.
        except Exception as error:
            reason = f"failed with {type(error).__name__}: {error}"
            return figures_of(self.number, self.bars, {}, reason)
