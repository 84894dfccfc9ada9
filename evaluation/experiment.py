"""The material of an evaluation: data, split, vectors, and the requests of both periods."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from longtail.runtime.settings import load
from longtail.server.ranking.evidence import FEATURES
from longtail.server.ranking.profile import default_profile
from longtail.server.ranking.relevance import RelevanceModel
from longtail.server.ranking.retrieval import Sources
from longtail.worker.settings import WorkerSettings

from evaluation.dataset import Dataset, DatasetError, Mask
from evaluation.opinions import read_opinions
from evaluation.requests import Requests, requests
from evaluation.sources import fitted_sources
from evaluation.splits import Part, Parts, SplitMethod, split
from evaluation.task import Catalogue, Floats, Matrix, Task
from evaluation.text_vectors import encoder_id, item_vectors
from evaluation.world import World

# Tells (done, total) of one stage.
Progress = Callable[[int, int], None]
# Begins a stage by its name; what it gives out tells how far the stage is.
Stage = Callable[[str], AbstractContextManager[Progress]]


@dataclass(frozen=True)
class Options:
    """How an evaluation is set up; see `python -m evaluation --help`.

    `fast`: without the methods of others whose code is slow.
    """

    split: SplitMethod
    valid: float
    test: float
    min_rating: float | None
    pool: int
    people: int
    seed: int
    fast: bool = False


@dataclass(frozen=True)
class Period:
    """A period that is asked about: what was known before it, and the requests of those in it."""

    world: World
    requests: Requests

    def task(self, scores: Floats, k: int, seed: int) -> Task:
        """Return the task of showing `k` of each pool by `scores` (U, n).

        Raises DatasetError when the pools are smaller than that.
        """
        world, asked = self.world, self.requests
        if k > asked.items.shape[1]:
            raise DatasetError(
                f"lists of {k} are asked for, and people have {asked.items.shape[1]} items left "
                "that they have not met with"
            )
        catalogue = Catalogue(world.popularity, world.bucket, world.vectors)
        return Task(catalogue, k, asked.items, scores, asked.taste, asked.likes, seed)

    def probabilities(self, model: RelevanceModel) -> Floats:
        """Return P(relevant) of each candidate, (U, n)."""
        values = self.requests.features.reshape(-1, len(FEATURES)).astype(np.float64)
        return model.probability(values).reshape(self.requests.items.shape)

    def raw_scores(self) -> Floats:
        """Return the score of behaviour, brought to the unit range within each pool, (U, n)."""
        raw = self.requests.raw
        low, spread = raw.min(axis=1, keepdims=True), np.ptp(raw, axis=1, keepdims=True)
        # The least stays above zero: a relevance of nothing is no relevance.
        unit: Floats = LEAST_RAW + (1 - LEAST_RAW) * (raw - low) / np.where(spread > 0, spread, 1.0)
        return unit


LEAST_RAW = 1e-3


@dataclass(frozen=True)
class Experiment:
    """One data set, split: `valid` is what is fitted on, `test` what is reported on.

    `encoder`: the id of the model of the text vectors. `sources`: what proposes the candidates, by
    what was liked in the period to fit on.
    """

    data: Dataset
    options: Options
    encoder: str
    sources: Sources
    valid: Period
    test: Period


def latest_period(
    source: Path, options: Options, stage: Stage
) -> tuple[Period, Sources, list[str]]:
    """Read a folder, or a server's store; return the test period, to fit on, and the item ids.

    Beside the period is what proposes its candidates, by what was liked in it. Raises DatasetError
    when there is nothing to fit on.
    """
    settings = load(WorkerSettings, os.environ)
    rows = _read(source, options, stage)
    vectors = _vectors(rows.data, settings, stage)
    asked = _asked(rows, Part.TEST, vectors, stage)
    sources = _sources(rows, asked, options, stage)
    return _period(rows, asked, options, sources, stage), sources, rows.data.item_ids


def experiment(folder: Path, options: Options, stage: Stage) -> Experiment:
    """Read a folder and prepare both periods.

    Raises DatasetError when the data do not allow the split.
    """
    settings = load(WorkerSettings, os.environ)
    rows = _read(folder, options, stage)
    vectors = _vectors(rows.data, settings, stage)
    asked = [_asked(rows, part, vectors, stage) for part in (Part.VALID, Part.TEST)]
    sources = _sources(rows, asked[0], options, stage)
    valid, test = (_period(rows, each, options, sources, stage) for each in asked)
    return Experiment(rows.data, options, encoder_id(settings), sources, valid, test)


@dataclass(frozen=True)
class _Rows:
    """A data set, and of each row (m,) whether it is a like, a dislike, and its part."""

    data: Dataset
    likes: Mask
    dislikes: Mask
    part: Parts


def _read(source: Path, options: Options, stage: Stage) -> _Rows:
    with stage("reading"):
        found = read_opinions(source, options.min_rating)
        shares = {"valid": options.valid, "test": options.test}
        part = split(found.data, options.split, positives=found.likes, **shares)
        return _Rows(found.data, found.likes, found.dislikes, part)


def _vectors(data: Dataset, settings: WorkerSettings, stage: Stage) -> Matrix:
    with stage("text vectors") as tell:
        return item_vectors(data.titles, data.texts, settings, tell)


@dataclass(frozen=True)
class _Asked:
    """A part that is asked about: its `name`, what was known before it, and its likes (m,)."""

    name: str
    world: World
    likes: Mask


def _asked(rows: _Rows, part: Part, vectors: Matrix, stage: Stage) -> _Asked:
    name = part.name.lower()
    with stage(f"what was known before the {name} period"):
        world = World(rows.data, rows.likes, rows.dislikes, rows.part < part, vectors)
        return _Asked(name, world, (rows.part == part) & rows.likes)


def _sources(rows: _Rows, asked: _Asked, options: Options, stage: Stage) -> Sources:
    with stage("sources of candidates"):
        usual = default_profile().sources
        seed = options.seed
        return fitted_sources(asked.world, rows.data, asked.likes, options.pool, seed, usual)


def _period(rows: _Rows, asked: _Asked, options: Options, sources: Sources, stage: Stage) -> Period:
    with stage(f"requests of the {asked.name} period") as tell:
        pool, people, seed = options.pool, options.people, options.seed
        found = requests(asked.world, rows.data, asked.likes, pool, people, seed, sources, tell)
        return Period(asked.world, found)
