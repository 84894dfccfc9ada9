from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import pytrec_eval
from longtail.server.ranking.popularity import Bucket

from evaluation.exposure_metrics import jensen_shannon
from evaluation.metrics import Judge, Truth
from evaluation.relevance_metrics import WEIGHT_LIMIT
from evaluation.task import Catalogue

USERS, ITEMS, K = 40, 60, 8


def truth_of(rows: Sequence[Sequence[int]]) -> Truth:
    counts = [len(row) for row in rows]
    return Truth(np.cumsum([0, *counts]), np.array([i for row in rows for i in row], np.int64))


def catalogue_of(random: np.random.Generator, items: int = ITEMS) -> Catalogue:
    vectors = random.normal(size=(items, 5)).astype(np.float32)
    return Catalogue(
        popularity=random.integers(0, 50, items).astype(np.float64),
        bucket=random.integers(0, 3, items).astype(np.int8),
        vectors=vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
    )


def lists_of(random: np.random.Generator, users: int = USERS, k: int = K) -> np.ndarray:
    return np.stack([random.permutation(ITEMS)[:k] for _ in range(users)])


def relevant_of(random: np.random.Generator, users: int = USERS) -> list[list[int]]:
    return [random.permutation(ITEMS)[: random.integers(0, 9)].tolist() for _ in range(users)]


def test_graded_ndcg_is_that_of_trec_eval() -> None:
    random = np.random.default_rng(9)
    rows, lists = relevant_of(random), lists_of(random)
    plain = truth_of(rows)
    grades = random.integers(1, 5, len(plain.items)).astype(np.float64)
    truth = replace(plain, grades=grades)
    graded = {
        str(user): {
            str(item): int(grade)
            for item, grade in zip(
                truth.items[truth.offsets[user] : truth.offsets[user + 1]],
                grades[truth.offsets[user] : truth.offsets[user + 1]],
                strict=True,
            )
        }
        for user in np.flatnonzero(truth.counts)
    }
    run = {
        str(user): {str(item): float(K - place) for place, item in enumerate(shown)}
        for user, shown in enumerate(lists)
    }
    theirs = pytrec_eval.RelevanceEvaluator(graded, {f"ndcg_cut.{K}"}).evaluate(run)
    found = truth.ndcg(lists)
    assert np.isnan(found[truth.counts == 0]).all()
    for user in np.flatnonzero(truth.counts):
        assert found[user] == pytest.approx(theirs[str(user)][f"ndcg_cut_{K}"])
    # Of one grade it is the plain one, of which it does not matter what the grade is.
    even = replace(plain, grades=np.full(len(plain.items), 2.0))
    assert even.ndcg(lists) == pytest.approx(plain.ndcg(lists), nan_ok=True)


def test_hits_are_the_members_of_the_truth() -> None:
    random = np.random.default_rng(0)
    relevant, lists = relevant_of(random), lists_of(random)
    expected = [[item in row for item in shown] for row, shown in zip(relevant, lists, strict=True)]
    assert truth_of(relevant).hits(lists).tolist() == expected


def test_a_truth_without_items_hits_nothing() -> None:
    assert not truth_of([[], []]).hits(np.array([[0, 1], [2, 3]])).any()


def test_the_last_pair_of_all_is_found_and_what_is_beyond_it_is_not() -> None:
    assert truth_of([[3], [5]]).hits(np.array([[5, 3], [5, 9]])).tolist() == [
        [False, True],
        [True, False],
    ]


def test_every_metric_is_that_of_plain_loops() -> None:
    random = np.random.default_rng(1)
    catalogue, relevant, lists = catalogue_of(random), relevant_of(random), lists_of(random)
    # Two items are so rare beside the others that the limit on weights is felt.
    catalogue.popularity[:2] = 1
    catalogue.popularity[2:] += 200
    taste = random.dirichlet((1, 1, 1), USERS)
    measures = Judge(truth_of(relevant), catalogue, taste, gamma=1.0).measure(lists)

    tail = {int(item) for item in np.flatnonzero(catalogue.bucket == Bucket.TAIL)}
    raw = 1 / np.maximum(catalogue.popularity, 1)
    limit = WEIGHT_LIMIT * np.mean([raw[item] for row in relevant for item in row])
    weight = np.minimum(raw, limit)
    assert raw.max() > limit
    for user, (true, shown) in enumerate(zip(map(set, relevant), lists.tolist(), strict=True)):
        of = {name: values[user] for name, values in measures.per_user.items()}
        assert of["tail_hits"] == len(true & set(shown) & tail)
        assert of["aplt"] == pytest.approx(len(set(shown) & tail) / K)
        assert of["arp"] == pytest.approx(np.mean([catalogue.popularity[i] for i in shown]))
        counts = np.bincount(catalogue.bucket[shown], minlength=3)
        assert of["upd"] == pytest.approx(jensen_shannon(taste[[user]], counts[None] / K)[0])
        if true & tail:
            found = len(true & set(shown) & tail) / len(true & tail)
            assert of["tail_recall"] == pytest.approx(found)
        else:
            assert np.isnan(of["tail_recall"])
        if true:
            found = sum(weight[list(true & set(shown))]) / sum(weight[list(true)])
            assert of["snips"] == pytest.approx(found)
        else:
            assert np.isnan([of["snips"], of["ndcg"], of["recall"], of["mrr"]]).all()

    shown_items = set(lists.ravel().tolist())
    overall = measures.overall
    assert overall["coverage"] == pytest.approx(len(shown_items) / ITEMS)
    assert overall["tail_coverage"] == pytest.approx(len(shown_items & tail) / len(tail))
    shares = []
    for group in (set(range(ITEMS)) - tail, tail):
        hits = sum(len(set(r) & set(s) & group) for r, s in zip(relevant, lists, strict=True))
        shares.append(hits / sum(len(set(row) & group) for row in relevant))
    assert overall["popreo"] == pytest.approx(np.std(shares) / np.mean(shares))
    for name, values in measures.per_user.items():
        assert overall[name] == pytest.approx(np.nanmean(values))


def test_tail_counts_less_for_exposure_the_further_down_it_is() -> None:
    catalogue = Catalogue(np.ones(4), np.array([0, 0, 0, 2], np.int8), np.eye(4, dtype=np.float32))
    judge = Judge(truth_of([[0], [0]]), catalogue, np.full((2, 3), 1 / 3))
    measures = judge.measure(np.array([[3, 0, 1], [0, 1, 3]]))
    top, bottom = measures.per_user["tail_exposure"]
    whole = 1 + 1 / np.log2(3) + 0.5
    assert (top, bottom) == (pytest.approx(1 / whole), pytest.approx(0.5 / whole))
    assert measures.per_user["aplt"] == pytest.approx([1 / 3, 1 / 3])


def test_taste_groups_count_alike_whatever_their_size() -> None:
    catalogue = Catalogue(np.ones(3), np.array([0, 1, 2], np.int8), np.eye(3, dtype=np.float32))
    taste = np.array([[0.0, 0, 1]] + [[0.5, 0, 0.5]] * 3 + [[1.0, 0, 0]])
    judge = Judge(truth_of([[0]] * 5), catalogue, taste)
    overall = judge.measure(np.full((5, 1), 2)).overall
    half = jensen_shannon(np.array([[0.5, 0, 0.5]]), np.array([[0.0, 0, 1]]))[0]
    assert overall["upd"] == pytest.approx((0 + 3 * half + 1) / 5)
    assert overall["upd_grouped"] == pytest.approx((0 + half + 1) / 3)


def test_effective_sample_size_is_all_of_equally_popular_truth() -> None:
    random = np.random.default_rng(4)
    catalogue = Catalogue(
        np.full(ITEMS, 3.0), np.zeros(ITEMS, np.int8), np.eye(ITEMS, dtype=np.float32)
    )
    relevant = relevant_of(random)
    judge = Judge(truth_of(relevant), catalogue, np.full((USERS, 3), 1 / 3))
    measures = judge.measure(lists_of(random))
    assert measures.overall["snips_ess"] == pytest.approx(sum(map(len, relevant)))
    assert measures.per_user["snips"] == pytest.approx(measures.per_user["recall"], nan_ok=True)


def test_without_tail_there_is_no_tail_recall_and_no_tail_coverage() -> None:
    catalogue = Catalogue(np.ones(5), np.zeros(5, np.int8), np.eye(5, dtype=np.float32))
    overall = (
        Judge(truth_of([[0]]), catalogue, np.array([[1.0, 0, 0]]))
        .measure(np.array([[0, 1]]))
        .overall
    )
    assert np.isnan([overall["tail_recall"], overall["tail_coverage"], overall["popreo"]]).all()
    assert overall["aplt"] == 0


def test_variety_is_measured_on_as_many_users_as_allowed() -> None:
    random = np.random.default_rng(5)
    catalogue, lists = catalogue_of(random), lists_of(random)
    truth, taste = truth_of(relevant_of(random)), random.dirichlet((1, 1, 1), USERS)
    everyone = Judge(truth, catalogue, taste).measure(lists).per_user["ild"]
    some = Judge(truth, catalogue, taste, variety_users=7).measure(lists).per_user["ild"]
    assert not np.isnan(everyone).any()
    measured = ~np.isnan(some)
    assert measured.sum() == 7
    assert (some[measured] == everyone[measured]).all()
