"""The fit: better where it can be, refused where nothing is gained, the same again."""

from dataclasses import replace

import numpy as np
import pytest
from longtail.server.ranking.head import fitting as module
from longtail.server.ranking.head.fitting import Material, NoHead, Round, fit_head
from longtail.server.ranking.head.head import Head
from longtail.server.ranking.head.learning import Recipe
from longtail.server.ranking.head.pairs import Likes, Pairs

from tests.unit.server.ranking.head import shelves

SMALL = Recipe(hidden=64, rate=0.02, restraint=0.3)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEPS", 20)
    monkeypatch.setattr(module, "BATCH", 64)
    monkeypatch.setattr(module, "ROUNDS", 4)


def untold(_steps: int) -> None:
    """Go on."""


def test_a_head_finds_what_texts_do_not_show_of_items_nobody_met_with() -> None:
    rounds = list[Round]()
    head = fit_head(shelves.material(), untold, recipe=SMALL, tell=rounds.append)
    before, after = head.facts["text alone"], head.facts["with the head"]
    assert after["cold ndcg@20"] > 1.15 * before["cold ndcg@20"]
    assert after["all ndcg@20"] > before["all ndcg@20"]
    assert head.facts["learned from"]["likes"] == shelves.PEOPLE * shelves.LIKED
    assert head.encoder == "invented"
    assert rounds[0].figures == before
    assert [each.steps for each in rounds] == [0, 20, 40, 60, 80][: len(rounds)]
    assert after in [each.figures for each in rounds]


def test_the_same_in_gives_the_same_out() -> None:
    one, again, other = (
        fit_head(shelves.material(), untold, recipe=SMALL, seed=seed).version for seed in (0, 0, 1)
    )
    assert one == again
    assert one != other


def test_what_is_held_out_is_not_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    material, seen = shelves.material(), set[tuple[int, int]]()
    whole = Pairs.drawn

    def noted(self: Pairs, random: np.random.Generator, count: int) -> object:
        first, second = whole(self, random, count)
        seen.update(zip(first.tolist(), second.tolist(), strict=True))
        return first, second

    monkeypatch.setattr(Pairs, "drawn", noted)
    fit_head(material, untold, recipe=SMALL)
    met = {item for pair in seen for item in pair}
    cold = set(np.flatnonzero(module._cold(material)).tolist())
    assert 0.05 * shelves.ITEMS < len(cold) < 0.2 * shelves.ITEMS
    assert not met & cold


def test_where_likes_say_nothing_there_is_none() -> None:
    with pytest.raises(NoHead, match="no chance"):
        fit_head(shelves.material(by_shelf=False), untold, recipe=SMALL)


def test_where_too_few_can_judge_there_is_none() -> None:
    whole = shelves.material()
    few = whole.likes.where(whole.likes.people < 20)
    material = Material(whole.encoder, whole.vectors, whole.names, few)
    with pytest.raises(NoHead, match="30 are needed"):
        fit_head(material, untold, recipe=SMALL)
    nothing = Likes.of([], len(whole.names))
    with pytest.raises(NoHead, match="30 are needed"):
        fit_head(Material("invented", whole.vectors, whole.names, nothing), untold)


def test_one_that_is_no_better_than_the_present_is_not_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    material = shelves.material()
    usual = fit_head(material, untold, recipe=SMALL)
    poor = Head(usual.inner, np.zeros_like(usual.outer), "invented")
    assert fit_head(material, untold, recipe=SMALL, current=poor).version == usual.version
    # One that hardly moves gains little, if more than nothing.
    monkeypatch.setattr(module, "_check", lambda before, reached: None)
    with pytest.raises(NoHead, match=usual.version):
        fit_head(material, untold, recipe=replace(SMALL, restraint=100.0), current=usual)


def test_a_fit_ends_when_it_is_told_to() -> None:
    class Enough(Exception):
        pass

    def enough(steps: int) -> None:
        if steps == 7:
            raise Enough

    with pytest.raises(Enough):
        fit_head(shelves.material(), enough, recipe=SMALL)
