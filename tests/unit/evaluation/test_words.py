import numpy as np
import pytest
from longtail.server.ranking.words import K1, B

from evaluation.words import Words

TEXTS = ["red lamp red", "blue lamps", "desk", ""]


def said(count: float, length: float) -> float:
    return count * (K1 + 1) / (count + K1 * (1 - B + B * length / (6 / 4)))


RED, LAMP = np.log1p(3.5 / 1.5), np.log1p(2.5 / 2.5)


def test_scores_are_those_of_the_formula() -> None:
    scores = Words(TEXTS).scores(["Lamp red red", "nothing of it"])
    assert scores[0] == pytest.approx(
        [RED * said(2, 3) + LAMP * said(1, 3), LAMP * said(1, 2), 0, 0]
    )
    assert not scores[1].any()


def test_of_so_many_words_the_rarest_count() -> None:
    scores = Words(TEXTS).scores(["lamp red"], most=1)
    assert scores[0] == pytest.approx([RED * said(2, 3), 0, 0, 0])


def test_chinese_is_found_by_what_is_inside_it() -> None:
    scores = Words(["华语流行音乐", "欧美", "流行"]).scores(["流行"])
    assert (scores[0] > 0).tolist() == [True, False, True]
