import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluation import comparison as comparisons
from evaluation.base import ease as eases
from evaluation.base import table as tables
from evaluation.base.choice import Field, best_setting
from evaluation.base.ease import EASE, ease, ease_and_text, standard
from evaluation.base.known import Base, Known, Score, Setting
from evaluation.base.models import ALS, BM25, BPR, COSINE, POPULARITY
from evaluation.base.registry import BASES
from evaluation.base.sequences import neighbours_of_late, transitions
from evaluation.base.table import BEHAVIOUR, DEFAULT, FITTED, base_table
from evaluation.report.folder import write_part
from tests.unit.evaluation import invented_data
from tests.unit.evaluation.invented_data import untold, usual_experiment


def known_of(people: list[list[int]], items: int) -> Known:
    """Return what is known of who likes what, each the latest first."""
    who = np.repeat(np.arange(len(people)), [len(each) for each in people])
    vectors = np.eye(items, dtype=np.float32)
    return Known(who, np.concatenate(people).astype(np.int64), vectors, (len(people), items), 0)


def invented(people: int, items: int, seed: int = 0) -> Known:
    random = np.random.default_rng(seed)
    return known_of([random.permutation(items)[:4].tolist() for _ in range(people)], items)


@pytest.mark.parametrize("shape", [(12, 30), (30, 12)])
def test_ease_is_the_closed_form_whichever_side_is_inverted(shape: tuple[int, int]) -> None:
    known = invented(*shape)
    likes = known.likes.toarray()
    inverse = np.linalg.inv(likes.T @ likes + 7.0 * np.eye(shape[1]))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    found = ease(known, {"lambda": 7.0})(np.array([3, 0]))
    unseen = likes[[3, 0]] == 0
    assert found[unseen] == pytest.approx((likes[[3, 0]] @ weights)[unseen])


def test_ease_refuses_what_would_not_fit_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(eases, "MOST", 5)
    monkeypatch.setattr(comparisons, "REPLICATES", 20)
    monkeypatch.setattr(tables, "REPLICATES", 20)
    found = base_table(usual_experiment(), 5, (POPULARITY, EASE), untold)
    assert "EASE" not in {each.name for each in found.results}
    [note] = found.notes
    assert "EASE did not run" in note
    assert "5 at most" in note


def test_text_moves_what_behaviour_leaves_undecided() -> None:
    known = invented(10, 25)
    near = replace(known, vectors=np.tile(known.vectors[:1], (25, 1)) + 0.1 * known.vectors)
    asked = np.arange(10)
    plain = standard(ease(near, {"lambda": 5.0})(asked))
    blended = ease_and_text(near, {"lambda": 5.0, "text": 0.3})(asked)
    assert np.abs(blended - plain).max() > 0.01
    assert ease_and_text(near, {"lambda": 5.0, "text": 0.0})(asked) == pytest.approx(plain)


def test_transitions_count_what_came_after_and_the_latest_leads_most() -> None:
    # Each the latest first: 0 is followed by 1, 1 by 2 or 3; 4 by 5.
    known = known_of([[2, 1, 0], [3, 1, 0], [1, 0], [5, 4], [4, 0]], 6)
    one, two = (
        transitions(known, {"steps": steps, "decay": 0.5})(np.array([2, 4])) for steps in (1, 2)
    )
    # Person 2 liked 1 last; two of three who did went on to 2 or 3.
    assert one[0, [2, 3]] == pytest.approx([1 / 3, 1 / 3])
    # Person 4 liked 4 last, which was followed by 5 for one of two.
    assert one[1, 5] == pytest.approx(1 / 2)
    assert one[1, 1] == pytest.approx(0.5 * 3 / 4)
    assert two[0, 2] == pytest.approx(1 / 3 + 0.5 * 0.5 / 4)


def test_neighbours_are_those_who_share_what_was_liked_of_late() -> None:
    known = known_of([[0, 1], [0, 2], [1, 3]], 4)
    scores = neighbours_of_late(known, {"neighbours": 3, "decay": 0.5})(np.array([0]))
    assert scores[0, 2] == pytest.approx(1 / np.sqrt(2))
    assert scores[0, 3] == pytest.approx(0.5 / np.sqrt(2))
    alone = neighbours_of_late(known, {"neighbours": 1, "decay": 0.5})(np.array([0]))
    assert alone[0, 3] == 0


@pytest.mark.parametrize(
    ("base", "setting"),
    [
        (COSINE, {"neighbours": 20}),
        (BM25, {"neighbours": 20, "k1": 1.2, "b": 0.2}),
        # With few factors there is none for a single person.
        (ALS, {"factors": 2, "alpha": 5.0, "regularisation": 0.1}),
        (BPR, {"factors": 2, "rate": 0.1, "passes": 100, "regularisation": 0.01}),
    ],
    ids=lambda value: value.name if isinstance(value, Base) else "",
)
def test_what_the_package_scores_goes_to_people_and_items_by_number(
    base: Base, setting: Setting
) -> None:
    # Two circles that share nothing; each person of one lacks an item of it.
    people = [[item for item in range(6) if item != left] for left in range(6)] * 3
    people += [[item for item in range(6, 12) if item != left] for left in range(6, 12)] * 3
    known = known_of(people, 12)
    assert set(setting) == set(base.choices)
    scores = base.fit(known, setting)(np.array([1, 20]))
    assert scores.shape == (2, 12)
    assert scores[0, 1] > scores[0, 6:].max()
    assert scores[1, 8] > scores[1, :6].max()


def test_lists_leave_out_what_was_met_and_equal_items_come_by_popularity() -> None:
    period = usual_experiment().test
    field = Field(period, 0)
    lists = field.lists(lambda asked: np.zeros((len(asked), invented_data.ITEMS)), 10)
    popularity = field.known.popularity
    for user, shown in zip(period.requests.users.tolist(), lists, strict=True):
        seen = period.world.past(user).seen
        assert not np.isin(shown, seen).any()
        assert len(np.unique(shown)) == 10
        left = np.setdiff1d(np.arange(invented_data.ITEMS), seen)
        assert popularity[shown].tolist() == np.sort(popularity[left])[::-1][:10].tolist()


def test_each_setting_is_chosen_for_what_it_reaches() -> None:
    field = Field(usual_experiment().valid, 0)
    truth = field._period.requests.truth
    liked = np.zeros((len(truth.counts), invented_data.ITEMS))
    liked[truth.requests, truth.items] = 1.0
    row_of = {user: row for row, user in enumerate(field._period.requests.users.tolist())}

    def fit(known: Known, setting: Setting) -> Score:
        noise = np.random.default_rng(0).random(liked.shape)
        off = abs(setting["one"] - 3) + abs(setting["other"] - 0.1)
        return lambda asked: (liked + off * noise)[[row_of[user] for user in asked.tolist()]]

    base = Base("invented", {"one": (1.0, 3.0, 5.0), "other": (0.1, 4.0)}, fit)
    assert best_setting(base, field, 5) == {"one": 3.0, "other": 0.1}


def test_the_table_compares_all_with_the_best_of_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tables, "REPLICATES", 50)
    quick = [base for base in BASES if base.name not in ("ALS", "BPR")]
    found = base_table(usual_experiment(), 5, quick, untold)
    by_name = {each.name: each for each in found.results}
    assert set(by_name) == {FITTED, DEFAULT, BEHAVIOUR, *(base.name for base in quick)}
    others = {base.name: by_name[base.name].metrics["ndcg"].value for base in quick}
    assert found.best == max(others, key=lambda name: others[name])
    for name, each in by_name.items():
        assert (each.setting is None) == (name in (FITTED, DEFAULT, BEHAVIOUR))
        assert each.metrics["ndcg"].low <= each.metrics["ndcg"].value <= each.metrics["ndcg"].high
        if each.against_best is None:
            assert name == found.best
        else:
            apart = each.metrics["ndcg"].value - others[found.best]
            assert each.against_best.estimate.value == pytest.approx(apart)
    # Somebody's likes say more than what everybody likes.
    assert others["EASE"] > others["popularity"]

    written = json.loads(write_part("base", found, tmp_path / "new").read_text())
    assert set(written["recommenders"]) == set(by_name)
    assert written["recommenders"][found.best]["against_best"] is None
    assert set(written["recommenders"][FITTED]["against_best"]) == {
        "value",
        "interval",
        "p_value",
        "p_holm",
    }
