"""FA*IR against its own table and against the package's own placing."""

import numpy as np
import pytest

from tests.unit.evaluation.outside_tasks import assert_lists_of_candidates, plain, random_task

fair_search = pytest.importorskip(
    "evaluation.outside.fair_search", reason="fairsearchcore is not installed"
)

(METHOD,) = fair_search.METHODS


def test_every_prefix_holds_the_minimum_of_the_table() -> None:
    task = random_task(users=50)
    tail = task.catalogue.bucket[task.items] == 2
    assert tail.sum(axis=1).min() >= task.k
    needed = 0
    for share in METHOD.dials[::4]:
        lists = METHOD.rerank(task, share)
        assert_lists_of_candidates(task, lists)
        minima = fair_search.minimum_table(task.k, share)
        needed = max(needed, minima[-1])
        assert (np.take_along_axis(tail, lists, axis=1).cumsum(axis=1) >= minima).all()
    assert needed >= 8


def test_the_mildest_dial_is_the_plain_order() -> None:
    task = random_task()
    np.testing.assert_array_equal(METHOD.rerank(task, METHOD.dials[0]), plain(task))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_lists_are_those_of_the_package(share: float) -> None:
    from fairsearchcore import Fair
    from fairsearchcore.models import FairScoreDoc

    random = np.random.default_rng(3)
    fair = Fair(10, share, fair_search.ALPHA)
    minima = fair_search.minimum_table(10, share)
    for tail_chance in (0.0, 0.1, 0.5, 0.9, 1.0):
        # Few levels, for equal scores; of those the package keeps the order it was given.
        scores = random.integers(1, 30, (20, 14)) / 30
        tail = random.random(scores.shape) < tail_chance
        lists = fair_search.place(scores, tail, minima)
        for row, of_one in enumerate(lists):
            order = np.argsort(-scores[row], kind="stable")
            ranking = [FairScoreDoc(i, scores[row, i], bool(tail[row, i])) for i in order]
            assert of_one.tolist() == [document.id for document in fair.re_rank(ranking)]


def test_a_table_is_corrected_for_testing_every_prefix() -> None:
    from fairsearchcore import Fair

    uncorrected = Fair(10, 0.7, fair_search.ALPHA).create_unadjusted_mtable()
    corrected = fair_search.minimum_table(10, 0.7)
    assert sum(corrected) < sum(uncorrected)
    assert Fair(10, 0.7, fair_search.ALPHA).compute_fail_probability(corrected) == pytest.approx(
        fair_search.ALPHA, abs=0.06
    )
