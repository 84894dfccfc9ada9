import itertools
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from longtail.server.ranking import behaviour as module
from longtail.server.ranking.behaviour import SHRINKAGE, Behaviour


def similarities(behaviour: Behaviour, item_id: str) -> dict[str, float]:
    found = behaviour.neighbours(behaviour.number_of[item_id])
    return {
        behaviour.ids[item]: float(similarity)
        for item, similarity in zip(found.items, found.similarity, strict=True)
    }


def expected(likes: dict[str, set[str]], item_id: str) -> dict[str, float]:
    people = {item: {p for p, theirs in likes.items() if item in theirs} for item in ITEMS}
    found = {}
    for other in ITEMS:
        both = people[item_id] & people[other]
        if other != item_id and both:
            voices = sum(1 / np.sqrt(1 + len(likes[person])) for person in both)
            norm = np.sqrt(len(people[item_id]) * len(people[other])) + SHRINKAGE
            found[other] = voices / norm
    return found


ITEMS = [f"item {number}" for number in range(8)]
PEOPLE = [f"person {number}" for number in range(12)]


def test_after_any_changes_the_neighbours_are_those_of_a_count_from_scratch() -> None:
    random = np.random.default_rng(5)
    behaviour, likes = Behaviour(), defaultdict[str, set[str]](set)
    for step in range(600):
        person, item = str(random.choice(PEOPLE)), str(random.choice(ITEMS))
        match int(random.integers(10)):
            case 0:
                behaviour.forget(person)
                likes.pop(person, None)
            case 1 | 2:
                behaviour.unlike(person, item)
                likes[person].discard(item)
            case _:
                behaviour.like(person, item)
                likes[person].add(item)
        # Who has something in common is known at once, and how much of it about.
        asked = str(random.choice(ITEMS[:6]))
        if asked in behaviour.number_of:
            assert similarities(behaviour, asked).keys() == expected(likes, asked).keys(), step
    for item in ITEMS[6:]:
        assert similarities(behaviour, item) == pytest.approx(expected(likes, item))
    numbers = np.array([behaviour.number_of[item] for item in ITEMS])
    counts = [sum(item in theirs for theirs in likes.values()) for item in ITEMS]
    assert behaviour.support(numbers).tolist() == counts


def test_a_like_has_its_effect_at_once() -> None:
    behaviour = Behaviour()
    behaviour.like("ann", "a")
    assert similarities(behaviour, "a") == {}
    behaviour.like("ann", "b")
    assert similarities(behaviour, "a") == pytest.approx({"b": 1 / np.sqrt(3) / (1 + SHRINKAGE)})


def test_scores_are_the_weighted_means_of_similarities() -> None:
    behaviour = Behaviour()
    for person, item in itertools.product(PEOPLE[:3], ["a", "b"]):
        behaviour.like(person, item)
    for person in PEOPLE[:2]:
        behaviour.like(person, "c")
    liked = [behaviour.number_of["a"], behaviour.number_of["b"]]
    even, first = behaviour.scores(liked, [np.array([1.0, 1.0]), np.array([2.0, 0.0])])
    of_a, of_b = similarities(behaviour, "a"), similarities(behaviour, "b")
    c = behaviour.number_of["c"]
    assert even[c] == pytest.approx((of_a["c"] + of_b["c"]) / 2)
    assert first[c] == pytest.approx(of_a["c"])


def test_without_likes_nothing_is_led_to() -> None:
    behaviour = Behaviour()
    behaviour.like("ann", "a")
    assert [scores.tolist() for scores in behaviour.scores([], [np.empty(0)] * 2)] == [[0], [0]]


def test_of_a_person_the_latest_likes_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIKES_PER_PERSON", 3)
    behaviour = Behaviour()
    for item in ("a", "b", "c"):
        behaviour.like("ann", item)
    behaviour.like("ann", "a")
    behaviour.like("ann", "d")
    assert set(similarities(behaviour, "a")) == {"c", "d"}
    assert behaviour.support(np.array([behaviour.number_of["b"]])).tolist() == [0]


def test_the_latest_people_stand_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PEOPLE_PER_ITEM", 10)
    behaviour = Behaviour()
    for number in range(40):
        behaviour.like(number, "a")
        behaviour.like(number, "b" if number % 2 else "c")
    found = similarities(behaviour, "a")
    # Half of the people of "a" like "b": so do half of the ten that are looked at.
    assert found["b"] == pytest.approx(20 / np.sqrt(3) / (np.sqrt(40 * 20) + SHRINKAGE))
    behaviour.unlike(0, "a")
    assert behaviour.support(np.array([behaviour.number_of["a"]])).tolist() == [39]


def test_no_similarity_exceeds_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PEOPLE_PER_ITEM", 5)
    behaviour = Behaviour()
    for number in range(1000):
        behaviour.like(number, "a")
    for number in range(995, 1000):
        behaviour.like(number, "b")
    assert similarities(behaviour, "a")["b"] <= 1


def test_an_item_keeps_its_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NEIGHBOURS", 2)
    behaviour = Behaviour()
    for number, item in enumerate(["b", "c", "d"]):
        for person in range(number + 1):
            behaviour.like((item, person), "a")
            behaviour.like((item, person), item)
    assert set(similarities(behaviour, "a")) == {"c", "d"}


def test_the_neighbours_of_few_items_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 2)
    behaviour = Behaviour()
    for item in ITEMS:
        behaviour.like("ann", item)
    for item in ITEMS:
        assert len(similarities(behaviour, item)) == len(ITEMS) - 1
    assert len(behaviour._counted) == 2


def test_a_well_known_item_is_not_counted_anew_for_every_like() -> None:
    behaviour = Behaviour()
    for number in range(200):
        behaviour.like(number, "a")
        behaviour.like(number, "b")
    before = behaviour.neighbours(0)
    behaviour.like("new", "a")
    assert behaviour.neighbours(0) is before
    for number in range(10):
        behaviour.like(f"new {number}", "a")
    assert behaviour.neighbours(0) is not before


def test_many_items_and_people() -> None:
    behaviour = Behaviour()
    for number in range(3000):
        behaviour.like(number % 50, f"item {number}")
    assert len(behaviour.ids) == 3000
    assert behaviour.support(np.arange(3000)).sum() == 3000


def test_readers_do_not_mind_a_writer() -> None:
    behaviour = Behaviour()
    behaviour.like("ann", "item 0")
    done = threading.Event()

    def read() -> int:
        random, reads = np.random.default_rng(1), 0
        while not done.is_set():
            liked = random.integers(0, len(behaviour.ids), 20).tolist()
            [scores] = behaviour.scores(liked, [np.ones(20)])
            assert (scores <= 1).all()
            assert (behaviour.support(np.arange(len(scores))) >= 0).all()
            reads += 1
        return reads

    with ThreadPoolExecutor(2) as threads:
        readers = [threads.submit(read) for _ in range(2)]
        random = np.random.default_rng(2)
        for step in range(6000):
            behaviour.like(int(random.integers(100)), f"item {random.integers(step // 3 + 1)}")
            if step % 50 == 0:
                behaviour.forget(int(random.integers(100)))
        done.set()
        assert all(reader.result(20) > 0 for reader in readers)
