import numpy as np
import pytest

from evaluation.metrics import Judge, Truth
from evaluation.outside.failure import OutsideFailure
from evaluation.sweep import BY_USER, Sweep, sweeps
from evaluation.task import Family, Ints, Method, Rerank, Task
from tests.unit.evaluation.outside_tasks import plain, random_task

DIALS = (0.0, 0.25, 0.5, 1.0)


def judged(task: Task) -> Judge:
    liked = task.items[:, ::7]
    truth = Truth(np.arange(len(liked) + 1) * liked.shape[1], liked.ravel())
    return Judge(truth, task.catalogue, task.taste)


def method(rerank: Rerank) -> Method:
    return Method("invented", Family.OUTSIDE, DIALS, rerank)


def turned(task: Task, dial: float) -> Ints:
    """Show the best by score, the more of them from the back the stronger the dial, worst first."""
    order = plain(task)[:, ::-1].copy()
    worst = np.argsort(task.scores, axis=1, kind="stable")
    count = round(dial * task.k)
    order[:, :count] = worst[:, :count]
    return order


def found(rerank: Rerank, *, resorted: bool = True) -> list[Sweep]:
    task = random_task()
    return list(sweeps(method(rerank), task, judged(task), resorted=resorted))


def test_a_variant_shows_the_same_items_in_the_order_of_the_scores() -> None:
    shown, variant = found(turned)
    assert (variant.name, variant.variant_of) == ("invented re-sorted", "invented")
    assert (shown.variant_of, variant.family) == (None, Family.OUTSIDE)
    np.testing.assert_array_equal(np.sort(variant.shown, axis=2), np.sort(shown.shown, axis=2))
    task = random_task()
    for lists in variant.shown:
        for user, row in enumerate(lists):
            scores = task.scores[user][[task.items[user].tolist().index(item) for item in row]]
            assert (np.diff(scores) <= 0).all()
    # What a set shows is as it was; how soon it shows it is not.
    for metric in ("aplt", "tail_recall", "upd"):
        np.testing.assert_array_equal(variant.by_user[metric], shown.by_user[metric])
    assert not np.array_equal(variant.by_user["ndcg"], shown.by_user["ndcg"])


def test_without_it_there_is_no_variant() -> None:
    assert [sweep.name for sweep in found(turned, resorted=False)] == ["invented"]


def test_each_point_is_what_the_judge_says_of_what_was_shown() -> None:
    task = random_task()
    shown, _ = found(turned)
    assert shown.dials == DIALS
    for at, dial in enumerate(DIALS):
        lists = np.take_along_axis(task.items, turned(task, dial), axis=1)
        np.testing.assert_array_equal(shown.shown[at], lists)
        measures = judged(task).measure(lists)
        assert shown.overall[at] == pytest.approx(dict(measures.overall), nan_ok=True)
        for metric in BY_USER:
            np.testing.assert_array_equal(shown.by_user[metric][at], measures.per_user[metric])


def test_where_an_outside_method_gives_up_that_dial_is_dropped_and_told() -> None:
    def gives_up(task: Task, dial: float) -> Ints:
        if dial == 0.25:
            raise OutsideFailure("no list meets the quota")
        return turned(task, dial)

    whole, _ = found(turned)
    for sweep in found(gives_up):
        assert sweep.dials == (0.0, 0.5, 1.0)
        assert sweep.failures == ("invented at 0.25: no list meets the quota",)
        assert len(sweep.overall) == len(sweep.shown) == len(sweep.by_user["ndcg"]) == 3
    np.testing.assert_array_equal(found(gives_up)[0].shown, whole.shown[[0, 2, 3]])
    assert whole.failures == ()


def test_any_other_failure_is_ours() -> None:
    def broken(task: Task, dial: float) -> Ints:
        raise ValueError("a mistake")

    with pytest.raises(ValueError, match="a mistake"):
        found(broken)


def test_a_method_that_always_gives_up_comes_to_nothing() -> None:
    def gives_up(task: Task, dial: float) -> Ints:
        raise OutsideFailure("never")

    assert found(gives_up) == []
