import numpy as np
import pytest

from evaluation.words import K1, B, Words, words_of


def test_words_are_read_in_any_script() -> None:
    assert words_of("Red-Lamp no. 5, RED") == ["red", "lamp", "no", "5", "red"]
    assert words_of("华语流行 pop") == ["华语", "语流", "流行", "pop"]
    assert words_of("爱 é") == ["爱", "é"]


def test_scores_are_those_of_the_formula() -> None:
    texts = ["red lamp red", "blue lamp", "desk", ""]
    scores = Words(texts).scores(["lamp red red", "nothing of it"])
    mean = 6 / 4

    def said(count: float, length: float) -> float:
        return count * (K1 + 1) / (count + K1 * (1 - B + B * length / mean))

    red, lamp = np.log1p(3.5 / 1.5), np.log1p(2.5 / 2.5)
    assert scores[0] == pytest.approx(
        [red * said(2, 3) + lamp * said(1, 3), lamp * said(1, 2), 0, 0]
    )
    assert not scores[1].any()
