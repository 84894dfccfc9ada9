"""The material of an evaluation of queries: half of them to fit on, the other half to report on."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from longtail.runtime.settings import load
from longtail.server.catalogue.words.word_index import MOST_WORDS
from longtail.server.write.encoding import text_to_encode
from longtail.worker.settings import WorkerSettings

from evaluation.dataset import Dataset, DatasetError, holds, negatives, positives, read
from evaluation.experiment import Options, Period, Stage
from evaluation.metrics import Truth
from evaluation.queries import query_requests
from evaluation.query_source import Queries, read_queries
from evaluation.task import Ints, Matrix
from evaluation.text_vectors import item_vectors, query_vectors
from evaluation.words import Words
from evaluation.world import World


@dataclass(frozen=True)
class Half:
    """Some of the queries: their words, their unit vectors (Q, d), and what they ask for."""

    texts: tuple[str, ...]
    vectors: Matrix
    period: Period


@dataclass(frozen=True)
class QueryExperiment:
    """The queries of a folder: `valid` is what is fitted on, `test` what is reported on.

    `texts`: of each item, as it is encoded.
    """

    options: Options
    texts: tuple[str, ...]
    valid: Half
    test: Half


def query_experiment(folder: Path, options: Options, stage: Stage) -> QueryExperiment:
    """Read a folder's queries, at most `options.people` of them in each half.

    Popularity is that of the interactions; without any, of what is relevant to the half to fit on.
    Raises DatasetError when there are too few.
    """
    settings = load(WorkerSettings, os.environ)
    with stage("reading"):
        data = read(folder)
        queries = read_queries(folder, data.item_ids)
    if len(queries.ids) < 2:
        raise DatasetError(f"{folder} has {len(queries.ids)} queries: there is nothing to fit on")
    drawn = np.random.default_rng(options.seed).permutation(len(queries.ids))
    middle = len(drawn) // 2
    fit, report = drawn[:middle][: options.people], drawn[middle:][: options.people]
    with stage("text vectors") as tell:
        vectors = item_vectors(data.titles, data.texts, settings, tell)
    with stage("vectors of queries") as tell:
        asked = query_vectors([queries.texts[at] for at in (*fit, *report)], settings, tell)
    world = _world(folder, data, options, [queries.ids[at] for at in drawn[:middle]], vectors)
    texts = tuple(map(text_to_encode, data.titles, data.texts))
    with stage("requests of queries"):
        words = Words(texts)
        valid = _half(world, words, queries, fit, asked[: len(fit)], options.pool)
        test = _half(world, words, queries, report, asked[len(fit) :], options.pool)
    return QueryExperiment(options, texts, valid, test)


def asked_period(folder: Path, options: Options, stage: Stage) -> tuple[Period, list[str]]:
    """Return all queries of a folder to fit on, at most `options.people`, and the item ids.

    Without interactions it is half of them, as popularity is what is relevant to the other half.
    Raises DatasetError when there are too few.
    """
    settings = load(WorkerSettings, os.environ)
    with stage("reading of queries"):
        data = read(folder)
        queries = read_queries(folder, data.item_ids)
    drawn = np.random.default_rng(options.seed).permutation(len(queries.ids))
    middle = 0 if holds(folder, "interactions") else len(drawn) // 2
    chosen = drawn[middle:][: options.people]
    with stage("vectors of queries") as tell:
        vectors = item_vectors(data.titles, data.texts, settings, tell)
        asked = query_vectors([queries.texts[at] for at in chosen.tolist()], settings, tell)
    world = _world(folder, data, options, [queries.ids[at] for at in drawn[:middle]], vectors)
    with stage("requests of queries"):
        words = Words(tuple(map(text_to_encode, data.titles, data.texts)))
        return _half(world, words, queries, chosen, asked, options.pool).period, data.item_ids


def _world(
    folder: Path, data: Dataset, options: Options, fitted: Sequence[str], vectors: Matrix
) -> World:
    if holds(folder, "interactions"):
        known = np.ones(len(data.items), np.bool_)
        likes, dislikes = positives(data, options.min_rating), negatives(data, options.min_rating)
    else:
        # What is relevant to the other half is what is asked about.
        names = frozenset(fitted)
        of_fitted = np.array([name in names for name in data.user_ids])
        known = likes = of_fitted[data.users]
        dislikes = np.zeros_like(known)
    return World(data, likes, dislikes, known, vectors)


def _half(
    world: World, words: Words, queries: Queries, chosen: Ints, vectors: Matrix, pool: int
) -> Half:
    order = np.argsort(queries.queries, kind="stable")
    starts = np.searchsorted(queries.queries[order], np.arange(len(queries.ids) + 1))
    rows = [order[starts[at] : starts[at + 1]] for at in chosen.tolist()]
    offsets = np.concatenate(([0], np.cumsum([len(each) for each in rows])))
    said = np.concatenate(rows)
    truth = Truth(offsets, queries.items[said], queries.grades[said])
    texts = tuple(queries.texts[at] for at in chosen.tolist())
    # The server looks up no more of a query's words.
    counted = words.scores(texts, MOST_WORDS)
    asked = query_requests(world, vectors, counted, truth, pool)
    return Half(texts, vectors, Period(world, asked))
