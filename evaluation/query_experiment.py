"""The material of an evaluation of queries: half of them to fit on, the other half to report on."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from longtail.runtime.settings import load
from longtail.server.catalogue.words.word_index import MOST_WORDS
from longtail.server.ranking.profile import default_profile
from longtail.server.ranking.retrieval import Sources
from longtail.server.write.encoding import text_to_encode
from longtail.worker.settings import WorkerSettings

from evaluation.dataset import Dataset, DatasetError, holds, negatives, positives, read
from evaluation.experiment import Options, Period, Stage
from evaluation.queries import Asked, query_requests, query_sources
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

    `texts`: of each item, as it is encoded. `sources`: what proposes the candidates, by what is
    relevant to the queries to fit on.
    """

    options: Options
    texts: tuple[str, ...]
    sources: Sources
    valid: Half
    test: Half


def query_experiment(folder: Path, options: Options, stage: Stage) -> QueryExperiment:
    """Read a folder's queries, at most `options.people` of them in each half.

    Popularity is that of the interactions. Without any it is that of what is relevant to queries:
    to some of the half to fit on, while the others of it are fitted on, and then to all of that
    half. Raises DatasetError when there are too few.
    """
    settings = load(WorkerSettings, os.environ)
    with stage("reading"):
        data = read(folder)
        queries = read_queries(folder, data.item_ids)
    drawn = np.random.default_rng(options.seed).permutation(len(queries.ids))
    half, report = drawn[: len(drawn) // 2], drawn[len(drawn) // 2 :][: options.people]
    known, fit = _known(folder, half)
    fit = fit[: options.people]
    if not len(fit):
        raise DatasetError(f"{folder} has {len(queries.ids)} queries: there is nothing to fit on")
    with stage("text vectors") as tell:
        vectors = item_vectors(data.titles, data.texts, settings, tell)
    with stage("vectors of queries") as tell:
        asked = query_vectors([queries.texts[at] for at in (*fit, *report)], settings, tell)
    before = _world(folder, data, options, [queries.ids[at] for at in known], vectors)
    after = before
    if len(known):
        after = _world(folder, data, options, [queries.ids[at] for at in half], vectors)
    texts = tuple(map(text_to_encode, data.titles, data.texts))
    with stage("requests of queries"):
        words = Words(texts)
        valid = _asked(words, queries, fit, asked[: len(fit)])
        test = _asked(words, queries, report, asked[len(fit) :])
        sources = query_sources(before, valid, options.pool, default_profile().sources)
        halves = (
            Half(
                tuple(queries.texts[at] for at in chosen.tolist()),
                each.vectors,
                Period(world, query_requests(world, each, options.pool, sources)),
            )
            for world, chosen, each in ((before, fit, valid), (after, report, test))
        )
        return QueryExperiment(options, texts, sources, *halves)


def asked_period(folder: Path, options: Options, stage: Stage) -> tuple[Period, Sources, list[str]]:
    """Return all queries of a folder to fit on, at most `options.people`, and the item ids.

    Without interactions it is half of them, as popularity is what is relevant to the other half.
    Beside the period is what proposes its candidates. Raises DatasetError when there are too few.
    """
    settings = load(WorkerSettings, os.environ)
    with stage("reading of queries"):
        data = read(folder)
        queries = read_queries(folder, data.item_ids)
    drawn = np.random.default_rng(options.seed).permutation(len(queries.ids))
    others, chosen = _known(folder, drawn)
    chosen = chosen[: options.people]
    with stage("vectors of queries") as tell:
        vectors = item_vectors(data.titles, data.texts, settings, tell)
        asked = query_vectors([queries.texts[at] for at in chosen.tolist()], settings, tell)
    world = _world(folder, data, options, [queries.ids[at] for at in others], vectors)
    with stage("requests of queries"):
        words = Words(tuple(map(text_to_encode, data.titles, data.texts)))
        known = _asked(words, queries, chosen, asked)
        sources = query_sources(world, known, options.pool, default_profile().sources)
        found = query_requests(world, known, options.pool, sources)
        return Period(world, found), sources, data.item_ids


def _known(folder: Path, drawn: Ints) -> tuple[Ints, Ints]:
    """Return the queries whose relevant items are what is popular, and those to fit on.

    Where interactions say what is popular, there are none of the first. They share none: what is
    relevant to a query would be popular for it, which no query is answered by later.
    """
    middle = 0 if holds(folder, "interactions") else len(drawn) // 2
    return drawn[:middle], drawn[middle:]


def _world(
    folder: Path, data: Dataset, options: Options, known_queries: Sequence[str], vectors: Matrix
) -> World:
    if holds(folder, "interactions"):
        known = np.ones(len(data.items), np.bool_)
        likes, dislikes = positives(data, options.min_rating), negatives(data, options.min_rating)
    else:
        # What is relevant to the others is what is asked about.
        names = frozenset(known_queries)
        of_known = np.array([name in names for name in data.user_ids])
        known = likes = of_known[data.users]
        dislikes = np.zeros_like(known)
    return World(data, likes, dislikes, known, vectors)


def _asked(words: Words, queries: Queries, chosen: Ints, vectors: Matrix) -> Asked:
    # The server looks up no more of a query's words.
    counted = words.scores([queries.texts[at] for at in chosen.tolist()], MOST_WORDS)
    return Asked(vectors, counted, queries.truth(chosen))
