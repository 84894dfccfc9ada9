"""TaxRank: its lists, its seed, and what the tax does."""

import numpy as np
import pytest

from tests.unit.evaluation.outside_tasks import (
    assert_lists_of_candidates,
    random_task,
    tail_share,
)

tax_rank = pytest.importorskip(
    "evaluation.outside.tax_rank", reason="fairdiverse, cvxpy or POT is not installed"
)

(METHOD,) = tax_rank.METHODS


def test_lists_are_of_candidates() -> None:
    task = random_task(users=12)
    for dial in (0.0, 0.5, 10.0):
        assert_lists_of_candidates(task, METHOD.rerank(task, dial))


def test_a_higher_tax_shows_more_of_the_tail() -> None:
    task = random_task(users=60)
    assert tail_share(task, METHOD.rerank(task, 5.0)) > tail_share(task, METHOD.rerank(task, 0.5))


def test_the_seed_decides_and_the_global_state_stays_as_it_was() -> None:
    np.random.seed(11)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(11)  # noqa: NPY002
    lists = METHOD.rerank(random_task(users=12), 2.0)
    assert np.random.random() == expected  # noqa: NPY002
    np.testing.assert_array_equal(lists, METHOD.rerank(random_task(users=12), 2.0))


def test_a_dial_at_which_the_solver_fails_is_an_outside_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from cvxpy.error import SolverError

    from evaluation.outside.failure import OutsideFailure

    def gives_up(*_: object) -> None:
        raise SolverError("no progress")

    monkeypatch.setattr(tax_rank._TAX_RANK, "rerank", gives_up)
    with pytest.raises(OutsideFailure, match=r"TaxRank .*no progress"):
        METHOD.rerank(random_task(users=3), 2.0)


def test_many_people_are_served_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tax_rank, "PEOPLE", 5)
    task = random_task(users=12)
    assert_lists_of_candidates(task, METHOD.rerank(task, 2.0))
