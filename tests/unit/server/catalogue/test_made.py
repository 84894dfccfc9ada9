"""What is made of persons is bounded by what it takes, and goes before the persons themselves."""

import gc
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from longtail.server.catalogue import made as module
from longtail.server.catalogue.history import NOTHING, history_of
from longtail.server.catalogue.made import History, Kept, Led, Made, MadeBudget
from longtail.server.catalogue.people import People
from longtail.server.catalogue.spaces.space import ADAPTED
from longtail.server.ranking.behaviour import Scores
from longtail.server.ranking.interest import Weighted, past_directions, past_interests
from longtail.server.store.records import Interaction

from tests.unit.server.catalogues import item, opened, unit, view_of

NOBODY = np.empty(0, np.int64)


def history(seed: int, likes: int = 60) -> History:
    random = np.random.default_rng(seed)
    rows = random.integers(0, 1000, likes)
    latest = rows[:50]
    given = Weighted(np.array([unit(row, 384) for row in latest]), random.uniform(1, 2, 50))
    ids = [str(row) for row in rows]
    worth = given.weights
    return History(
        ids, rows, rows[:0], latest, worth, past_interests(given), past_directions(given)
    )


def kept(found: History) -> Kept:
    return Kept(object(), 1, 1, None, found)


def led(found: History, items: int = 900) -> Led:
    numbers = np.arange(items)
    likes = np.arange(len(found.item_ids))
    return Led(found, Scores(numbers, np.ones((2, items)), likes, likes.copy()))


def test_what_is_reckoned_is_what_it_takes() -> None:
    budget, found = MadeBudget(), [history(seed) for seed in range(20)]
    ids, gone = [each.item_ids for each in found], len(found)
    del found
    gc.collect()
    tracemalloc.start()
    try:
        everything = []
        for seed in range(gone):
            made = Made(budget)
            made.keep(kept(history(seed)))
            assert made.kept is not None
            made.lead(led(made.kept.history))
            assert made.led is not None
            made.led.keep_first(400, np.arange(400))
            for interest in made.kept.history.interests:
                assert interest.short.dtype == np.float32
            everything.append(made)
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The ids are the person's own, but here they are new.
    taken -= sum(len(each) * 55 for each in ids)
    assert len(budget) == gone
    assert 0.9 * taken < budget.size < 1.25 * taken


def test_what_was_of_use_longest_ago_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    found, budget = history(1), MadeBudget()
    one = Made(budget)
    one.keep(kept(found))
    size = budget.size
    assert size == one.size
    monkeypatch.setattr(module, "MADE_BYTES", 3 * size)
    others = [Made(budget) for _ in range(3)]
    for each in others[:2]:
        each.keep(kept(found))
    one.use()
    others[2].keep(kept(found))
    assert [each.kept is not None for each in (one, *others)] == [True, False, True, True]
    assert budget.size == 3 * size
    # What is larger than all room is held alone, until something else is made.
    one.lead(led(found, 100_000))
    assert (one.led is not None, len(budget)) == (True, 1)
    others[0].keep(kept(found))
    assert (one.kept, one.led, budget.size) == (None, None, size)
    # What was let go of is no longer of use, and may be made again.
    one.use()
    one.keep(kept(found))
    assert (len(budget), budget.size) == (2, 2 * size)


def test_what_another_history_led_to_goes_with_it() -> None:
    budget = MadeBudget()
    made = Made(budget)
    found = history(1)
    made.keep(kept(found))
    alone = budget.size
    made.lead(led(found))
    assert budget.size > alone
    made.keep(kept(found))
    assert (made.led, budget.size) == (None, alone)


def test_nothing_is_kept_of_a_person_who_is_held_no_more() -> None:
    budget = MadeBudget()
    made = Made(budget)
    made.keep(kept(history(1)))
    budget.close(made)
    assert (made.kept, budget.size, len(budget)) == (None, 0, 0)
    # Nor what a request that was under way makes afterwards.
    made.keep(kept(history(1)))
    made.use()
    assert (budget.size, len(budget)) == (0, 0)


def test_rows_that_were_looked_up_are_kept_within_what_is_reckoned() -> None:
    found = led(NOTHING, 100)
    found.keep_first(60, np.arange(60))
    found.keep_first(80, np.arange(80))
    found.keep_first(40, np.arange(40))
    assert sorted(found.first) == [40, 60]


def test_a_person_is_held_for_longer_than_what_was_made_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("ann", "bob", "cid")
    with opened(tmp_path) as written:
        written.upsert(*(item(name, seed) for seed, name in enumerate("abcdef", 1)))
        written.interact(
            *(Interaction(name, name, "a", "like", 1.0, 1, "") for name in names),
        )
        view, people = view_of(written, tmp_path), People(written.store)
        people.take_in(written.store.activity.since(0))
        state = view.state

        def found(name: str) -> History:
            person = people.known(name) or people.load(name)
            return history_of(person, state, state.revision, state.spaces.get(ADAPTED))

        first = {name: found(name) for name in names}
        assert all(found(name) is first[name] for name in names)
        size = people.load("ann").made.size
        monkeypatch.setattr(module, "MADE_BYTES", int(2.9 * size))
        assert found("ann") is first["ann"]
        written.interact(Interaction("again", "cid", "b", "like", 1.0, 2, ""))
        people.take_in(written.store.activity.since(0))
        assert found("cid") is not first["cid"]
        # For the room of what was made anew bob's went, and nobody else went.
        assert found("ann") is first["ann"]
        held = [people.known(name) for name in names]
        assert [each is not None and each.made.kept is not None for each in held] == [
            *(True, False, True)
        ]
        # Who is forgotten is held in neither way.
        person = people.known("ann")
        written.write(lambda tx: written.store.forget(tx, "ann"))
        people.take_in(written.store.activity.since(0))
        assert person is not None
        assert (people.known("ann"), person.made.kept) == (None, None)
