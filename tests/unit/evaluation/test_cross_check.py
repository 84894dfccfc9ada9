import numpy as np
import pytest

from evaluation.metrics import Truth

pytest.importorskip("pytrec_eval", reason="the package pytrec_eval-terrier is not installed")


@pytest.mark.parametrize("k", [1, 10, 20])
def test_the_field_s_own_code_finds_the_same(k: int) -> None:
    from evaluation.cross_check import largest_differences

    random = np.random.default_rng(k)
    counts = random.integers(0, 25, 100)
    truth = Truth(
        np.concatenate(([0], np.cumsum(counts))),
        np.concatenate([random.permutation(80)[:count] for count in counts]),
    )
    lists = np.stack([random.permutation(80)[:k] for _ in counts])
    found = largest_differences(lists, truth)
    assert set(found) == {"ndcg", "recall", "mrr"}
    assert max(found.values()) < 1e-9


def test_a_wrong_order_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from evaluation import cross_check

    truth = Truth(np.array([0, 2]), np.array([4, 7]))
    monkeypatch.setattr(cross_check, "reciprocal_rank", lambda hits: np.ones(len(hits)))
    found = cross_check.largest_differences(np.array([[1, 2, 4, 7]]), truth)
    assert found["mrr"] == pytest.approx(1 - 1 / 3)
    assert found["ndcg"] < 1e-9
