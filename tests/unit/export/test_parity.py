import numpy as np
import pytest
from longtail.export.errors import ExportError
from longtail.export.parity import Gate, measure
from longtail.worker.artefact import Parity
from longtail.worker.vectors import Vectors


def random_units(count: int, seed: int) -> Vectors:
    vectors = np.random.default_rng(seed).standard_normal((count, 16)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def test_equal_vectors_are_at_full_parity() -> None:
    vectors = random_units(50, seed=1)
    parity = measure(vectors, vectors.copy())
    assert parity.texts == 50
    assert parity.cosine_min == pytest.approx(1)
    assert parity.top10_overlap == 1


def test_one_wrong_vector_shows_in_the_minimum() -> None:
    original = random_units(50, seed=1)
    exported = original.copy()
    exported[3] = -exported[3]
    parity = measure(exported, original)
    assert parity.cosine_min == pytest.approx(-1)
    assert parity.cosine_mean == pytest.approx(48 / 50)
    assert parity.top10_overlap < 1


def test_strangers_share_only_the_neighbours_of_chance() -> None:
    parity = measure(random_units(500, seed=1), random_units(500, seed=2))
    assert parity.top10_overlap < 0.05


@pytest.mark.parametrize(
    ("parity", "name"),
    [
        (Parity(9, 1.0, 0.9, 1.0), "cosine_min is 0.9"),
        (Parity(9, 1.0, float("nan"), 1.0), "cosine_min is nan"),
        (Parity(9, 1.0, 1.0, 0.7), "top10_overlap is 0.7"),
    ],
)
def test_the_gate_names_the_figure_that_is_too_low(parity: Parity, name: str) -> None:
    with pytest.raises(ExportError, match=name):
        Gate(cosine_min=0.99, top10_overlap=0.9).check(parity)
