from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluation import comparison as comparisons
from evaluation import dial_table as dial_tables
from evaluation import methods, query_experiment
from evaluation.base import table as tables
from evaluation.base.table import DEFAULT, FITTED
from evaluation.dataset import Dataset, DatasetError
from evaluation.query_run import evaluate_queries
from evaluation.query_table import BM25, DENSE, FUSED, best, fused
from evaluation.report.results import QueryResults
from evaluation.task import Matrix
from tests.unit.evaluation import invented_data
from tests.unit.evaluation.invented_data import OPTIONS, stage

NAMES = list(invented_data.TOPICS)


def of_topic(data: Dataset, topic: str) -> list[str]:
    both = zip(data.item_ids, data.attributes, strict=True)
    return [item_id for item_id, each in both if each["topic"] == topic]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write people and queries; a query's vector is near those of its topic."""
    data = invented_data.dataset()
    made = invented_data.vectors(data)
    centre = {
        name: made[[each["topic"] == name for each in data.attributes]].mean(axis=0)
        for name in NAMES
    }

    def of_queries(texts: list[str], *_: object) -> Matrix:
        found = np.array([centre[text.split()[-1]] for text in texts], np.float32)
        unit: Matrix = found / np.linalg.norm(found, axis=1, keepdims=True)
        return unit

    monkeypatch.setattr(query_experiment, "item_vectors", lambda *_: made)
    monkeypatch.setattr(query_experiment, "query_vectors", of_queries)
    for module in (comparisons, tables, dial_tables):
        monkeypatch.setattr(module, "REPLICATES", 40)
    monkeypatch.setattr(methods, "DIAL_REQUESTS", 6)
    monkeypatch.setattr(dial_tables, "STRENGTHS", (0.0, 0.2, 0.6))
    folder = invented_data.write(data, tmp_path / "data")
    random = np.random.default_rng(1)
    queries, relevance = ["query_id,text"], ["query_id,item_id,grade"]
    for number in range(40):
        topic = NAMES[number % len(NAMES)]
        queries.append(f"{number},a book of {topic}")
        for item_id in random.choice(of_topic(data, topic), 5, replace=False):
            relevance.append(f"{number},{item_id},{1 + number % 3}")
    (folder / "queries.csv").write_text("\n".join(queries))
    (folder / "relevance.csv").write_text("\n".join(relevance))
    return folder


def evaluated(folder: Path) -> QueryResults:
    return evaluate_queries(folder, OPTIONS, 5, stage)


def test_queries_are_compared_with_meaning_words_and_both(folder: Path) -> None:
    found = evaluated(folder)
    by_name = {each.name: each for each in found.base.results}
    assert set(by_name) == {FITTED, DEFAULT, DENSE, BM25, FUSED}
    # Half of them; the other half is what is fitted on.
    assert found.base.people == 20
    for each in by_name.values():
        assert each.metrics["ndcg"].value > 0.05
        assert f"recall@{OPTIONS.pool}" in each.metrics
    for dial, name in zip(found.dials, (DEFAULT, FITTED), strict=True):
        assert dial.name == name
        assert [row.strength for row in dial.rows] == [0.0, 0.2, 0.6]
        assert (dial.rows[0].promised, dial.rows[0].lost.value) == (0, 0)
        assert dial.rows[0].told == pytest.approx(0, abs=1e-9)
        assert dial.rows[0].metrics["ndcg"].value == pytest.approx(
            by_name[name].metrics["ndcg"].value
        )
        assert dial.rows[-1].metrics["aplt"].value > dial.rows[0].metrics["aplt"].value


def test_without_people_what_was_relevant_to_others_is_what_is_popular(folder: Path) -> None:
    (folder / "interactions.csv").unlink()
    material = query_experiment.query_experiment(folder, OPTIONS, stage)
    before, after = material.valid.period.world, material.test.period.world
    # Of the 20 to fit on, half say what is popular to the others, and all what is to the rest.
    assert before.popularity.sum() == 10 * 5
    fitted_on = np.bincount(material.valid.period.requests.truth.items, minlength=before.items)
    assert fitted_on.sum() == 10 * 5
    assert after.popularity.tolist() == (before.popularity + fitted_on).tolist()


def test_where_meaning_says_nothing_words_propose_more(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = query_experiment.query_experiment(folder, replace(OPTIONS, pool=20), stage).sources
    noise = np.random.default_rng(0).normal(size=(40, 24)).astype(np.float32)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    monkeypatch.setattr(query_experiment, "query_vectors", lambda texts, *_: noise[: len(texts)])
    unsaid = query_experiment.query_experiment(folder, replace(OPTIONS, pool=20), stage).sources
    assert unsaid.words > said.words


def test_one_query_is_too_few(folder: Path) -> None:
    (folder / "relevance.csv").write_text("query_id,item_id\n1,i0\n")
    with pytest.raises(DatasetError, match="1 queries"):
        evaluated(folder)


def test_ranks_are_fused_and_what_holds_no_word_is_in_no_list_of_words() -> None:
    dense, words = np.array([[0.9, 0.8, 0.7, 0.1]]), np.array([[-np.inf, 2.0, 3.0, -np.inf]])
    total = fused(dense, words)
    assert total[0] == pytest.approx([1 / 61, 1 / 62 + 1 / 62, 1 / 63 + 1 / 61, 1 / 64])
    assert best(total, 2).tolist() == [[2, 1]]
