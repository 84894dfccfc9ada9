import itertools
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from longtail.server.ranking import behaviour as module
from longtail.server.ranking.behaviour import Behaviour
from longtail.server.ranking.cosine import SHRINKAGE
from longtail.server.ranking.regression import fit


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
    found = behaviour.scores(liked, [np.array([1.0, 1.0]), np.array([2.0, 0.0])])
    assert found.numbers.tolist() == [behaviour.number_of[item] for item in "abc"]
    even, first = found.at(np.array([behaviour.number_of["c"], liked[1], -1, liked[0]]))
    of_a, of_b = similarities(behaviour, "a"), similarities(behaviour, "b")
    assert even == pytest.approx([(of_a["c"] + of_b["c"]) / 2, of_a["b"] / 2, 0, of_b["a"] / 2])
    # Three liked b next after a, and two of them c after that.
    after_a = {"b": 3 / (3 + SHRINKAGE), "c": 2 * 0.8 / (np.sqrt(6) + SHRINKAGE)}
    expected = [of_a["c"] + after_a["c"], of_a["b"] + after_a["b"], 0, 0]
    assert first == pytest.approx(expected)


def test_what_is_liked_soon_after_follows_and_not_what_was_before_or_is_far() -> None:
    behaviour = Behaviour()
    for item in ("a", *map(str, range(9)), "b", "c"):
        behaviour.like("ann", item)
    for item in ("c", "b"):
        behaviour.like("bob", item)

    def followed(item: str) -> dict[str, float]:
        found = behaviour.neighbours(behaviour.number_of[item])
        names = [behaviour.ids[number] for number in found.items]
        more = (found.following - found.similarity).tolist()
        return {name: value for name, value in zip(names, more, strict=True) if value > 0}

    assert followed("a").keys() == {*map(str, range(9)), "b"}
    assert followed("a")["8"] == pytest.approx(0.8**8 / (1 + SHRINKAGE), rel=1e-5)
    # Nothing came after the last of ann's; bob's b came after c, and ann's before it.
    assert followed("c") == pytest.approx({"b": 1 / (2 + SHRINKAGE)}, rel=1e-5)


def test_without_likes_nothing_is_led_to() -> None:
    behaviour = Behaviour()
    behaviour.like("ann", "a")
    for nothing in (
        behaviour.scores([], [np.empty(0)] * 2),
        behaviour.scores([0], [np.ones(1)] * 2),
    ):
        assert len(nothing.numbers) == 0
        assert nothing.at(np.array([0, -1])).tolist() == [[0, 0], [0, 0]]


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
    assert len(behaviour._kept) == 2


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


Told = list[tuple[str, str, float]]


def both(told: Told, part: int) -> tuple[Behaviour, Behaviour]:
    """Return what follows from opinions taken in one by one, and in parts of some size."""
    behaviour = Behaviour()
    for person, item, value in told:
        (behaviour.like if value > 0 else behaviour.unlike)(person, item)
    parts = [told[start : start + part] for start in range(0, len(told), part)]
    opinions = [
        ([who for who, _, _ in rows], [what for _, what, _ in rows], [value for *_, value in rows])
        for rows in parts
    ]
    return behaviour, Behaviour.of(opinions, str)


def some(random: np.random.Generator, dislikes: float) -> Told:
    values = np.where(random.uniform(size=500) < dislikes, -1.0, 1.0).tolist()
    return [(f"p{random.integers(25)}", f"i{random.integers(40)}", value) for value in values]


@pytest.mark.parametrize(
    ("dislikes", "limits"), [(0.0, (200, 500)), (0.4, (200, 500)), (0.0, (6, 500)), (0.0, (200, 6))]
)
@pytest.mark.parametrize("part", [1, 7, 1000])
def test_read_whole_it_is_as_taken_in_one_by_one(
    part: int, dislikes: float, limits: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LIKES_PER_PERSON", limits[0])
    monkeypatch.setattr(module, "PEOPLE_PER_ITEM", limits[1])
    random = np.random.default_rng(11)
    told, later = some(random, dislikes), some(random, dislikes)
    slow, quick = both(told, part)
    assert quick.ids == slow.ids
    assert quick.number_of == slow.number_of
    for person, item, value in [*later, ("p3", "new", 1.0), ("new", "i3", 1.0)]:
        for behaviour in (slow, quick):
            (behaviour.like if value > 0 else behaviour.unlike)(person, item)
            behaviour.forget("p7")
    numbers = np.arange(len(slow.ids))
    assert quick.support(numbers).tolist() == slow.support(numbers).tolist()
    liked, weights = numbers.tolist(), [random.uniform(size=len(numbers))]
    ours, theirs = quick.scores(liked, weights), slow.scores(liked, weights)
    assert ours.numbers.tolist() == theirs.numbers.tolist()
    assert ours.values.tolist() == theirs.values.tolist()


def test_of_nothing_nothing_follows() -> None:
    behaviour = Behaviour.of([], str)
    behaviour.like("ann", "a")
    assert behaviour.support(np.array([0])).tolist() == [1]
    assert Behaviour.of([(["ann"], ["a"], [-1.0])], str).ids == []


def test_a_writer_does_not_wait_for_what_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    behaviour = Behaviour()
    for item in ITEMS:
        behaviour.like("ann", item)
    counting, go = threading.Event(), threading.Event()
    distinct = module._distinct

    def slow(*arguments: np.ndarray) -> np.ndarray:
        counting.set()
        assert go.wait(60)
        return distinct(*arguments)

    monkeypatch.setattr(module, "_distinct", slow)
    with ThreadPoolExecutor(2) as threads:
        reader = threads.submit(behaviour.neighbours, 0)
        assert counting.wait(60)
        threads.submit(behaviour.like, "bob", ITEMS[0]).result(60)
        go.set()
        assert len(reader.result(60).items) == len(ITEMS) - 1


def test_readers_do_not_mind_a_writer() -> None:
    behaviour = Behaviour()
    behaviour.like("ann", "item 0")
    done = threading.Event()

    def read() -> int:
        random, reads = np.random.default_rng(1), 0
        while not done.is_set() or not reads:
            liked = random.integers(0, len(behaviour.ids), 20).tolist()
            scores = behaviour.scores(liked, [np.ones(20)])
            assert (scores.values <= 1).all()
            assert (scores.values >= 0).all()
            assert (np.diff(scores.numbers) > 0).all()
            assert (behaviour.support(scores.numbers) >= 0).all()
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
        assert all(reader.result(60) > 0 for reader in readers)


def test_what_would_be_counted_is_known_before() -> None:
    behaviour = Behaviour()
    for person in range(20):
        for item in "abc":
            behaviour.like(person, item)
    assert behaviour.uncounted(["a", "b", "never met"]) == 2
    behaviour.scores([behaviour.number_of["a"]], [np.ones(1)])
    assert behaviour.uncounted(["a", "b"]) == 1
    # Enough has happened to it since.
    for person in range(20, 30):
        behaviour.like(person, "a")
    assert behaviour.uncounted(["a"]) == 1


def test_scores_hold_until_neighbours_would_be_counted_anew() -> None:
    behaviour = Behaviour()
    for person in range(20):
        for item in "abc":
            behaviour.like(person, item)
    liked, weights = [behaviour.number_of[item] for item in "ab"], [np.ones(2), np.ones(2)]
    first = behaviour.scores(liked, weights)
    behaviour.like(20, "c")
    assert behaviour.holds(first)
    for person in range(20, 30):
        behaviour.like(person, "b")
        behaviour.like(person, "new")
    assert not behaviour.holds(first)
    # Nor once they were, for somebody else.
    behaviour.scores(liked[1:], [np.ones(1)])
    assert not behaviour.holds(first)
    after = behaviour.scores(liked, weights)
    assert behaviour.number_of["new"] in after.numbers
    assert behaviour.holds(after)
    # A regression says otherwise how similar items are.
    behaviour.go_by(fit(behaviour.likes(), len(behaviour.ids), lambda _: None), lambda _: None)
    assert not behaviour.holds(after)
    assert behaviour.holds(behaviour.scores(liked, weights))


def test_neighbours_are_the_same_in_arrays_as_long_as_the_catalogue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random = np.random.default_rng(3)
    likes = [(person, item) for person in range(30) for item in random.permutation(12)[:5].tolist()]
    counted = []
    for dense in (0, 10_000):
        monkeypatch.setattr(module, "DENSE", dense)
        behaviour = Behaviour()
        for person, item in likes:
            behaviour.like(person, f"item {item}")
        counted.append([behaviour.neighbours(item) for item in range(len(behaviour.ids))])
    for sparse, dense_one in zip(*counted, strict=True):
        assert len(sparse.items) > 0
        np.testing.assert_array_equal(sparse.items, dense_one.items)
        np.testing.assert_array_equal(sparse.similarity, dense_one.similarity)
        np.testing.assert_array_equal(sparse.following, dense_one.following)
