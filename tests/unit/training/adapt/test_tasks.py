"""Pairs to learn from: what is relevant to a query is no counterexample to it."""

from pathlib import Path

import numpy as np

from evaluation.opinions import read_opinions
from evaluation.query_source import read_queries
from tests.unit.training.adapt import small
from training.adapt.run import learnable_likes
from training.adapt.tasks import of_queries


def test_all_that_is_relevant_to_a_query_is_no_counterexample() -> None:
    queries, relevant = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 1, 2, 3])
    task = of_queries(["a", "b", "c"], ["i", "j", "k", "l"], queries, relevant)
    batch = task.draw(np.random.default_rng(0), 50)
    known = {("a", "i"), ("a", "j"), ("b", "j"), ("b", "k"), ("c", "l")}

    assert set(zip(batch.first, batch.second, strict=True)) == known
    for at, query in enumerate(batch.first):
        for other, item in enumerate(batch.second):
            assert batch.same[at, other] == (at != other and (query, item) in known)


def test_what_is_relevant_to_other_queries_is_not_learned_as_likes(tmp_path: Path) -> None:
    folder = small.catalogue(tmp_path / "data")
    opinions = read_opinions(folder, None)
    queries = read_queries(folder, opinions.data.item_ids)
    learned = np.arange(10, 50)
    # People's likes are nothing that a query says.
    assert len(learnable_likes(folder, opinions, queries, learned).items) == 120

    (folder / "interactions.csv").unlink()
    opinions = read_opinions(folder, None)
    likes = learnable_likes(folder, opinions, queries, learned)
    assert sorted(likes.items.tolist()) == list(range(10, 50))
