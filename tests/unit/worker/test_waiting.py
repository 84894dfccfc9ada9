"""The queue of one lane: every cut against a model of it, and whose turn it is."""

import math
import weakref
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from longtail.worker.waiting import Entry, LaneQueue

BUDGET, MAX_WASTE, LATER = 256, 0.1, 1e9


def lane_queue(lead_tokens: float = 512, max_waste: float = MAX_WASTE) -> LaneQueue[int]:
    return LaneQueue(max_waste=max_waste, lead_tokens=lead_tokens)


def add(queue: LaneQueue[int], name: int, length: int = 10, caller: str = "c") -> Entry[int]:
    return queue.add([0] * length, name, deadline=LATER, caller=caller, now=0)


def anything(_: float) -> float:
    return math.inf


def cut(queue: LaneQueue[int], budget: int = BUDGET) -> list[Entry[int]]:
    return queue.cut(budget, anything, lambda _: None)


def names(batch: list[Entry[int]]) -> list[int]:
    return [entry.answer for entry in batch]


texts = st.tuples(st.sampled_from("abc"), st.integers(1, 300), st.integers(0, 60))
steps = st.lists(st.one_of(texts, st.just("cut"), st.integers(0, 200)), max_size=120)


@given(steps, st.integers(1, 400), st.floats(0, 0.9), st.sampled_from([0, 50, 1_000]))
def test_no_cut_breaks_a_limit_and_every_text_leaves_once(
    script: list[tuple[str, int, int] | str | int], budget: int, max_waste: float, lead: int
) -> None:
    queue = lane_queue(lead, max_waste)
    everything: list[Entry[int]] = []
    left: list[Entry[int]] = []

    def affordable(deadline: float) -> float:
        return 5 * deadline

    def cut_once() -> None:
        gone: list[Entry[int]] = []
        batch = queue.cut(budget, affordable, gone.append)
        assert all(affordable(entry.deadline) < entry.length for entry in gone)
        left.extend([*batch, *gone])
        longest, tokens = max((e.length for e in batch), default=0), sum(e.length for e in batch)
        padded = longest * len(batch)
        assert padded <= min((affordable(e.deadline) for e in batch), default=0)
        if len(batch) > 1:
            assert padded <= budget
            assert padded - tokens <= max_waste * padded

    for step in script:
        if isinstance(step, tuple):
            caller, length, deadline = step
            everything.append(
                queue.add([0] * length, len(everything), deadline=deadline, caller=caller, now=0)
            )
        elif step == "cut":
            cut_once()
        elif isinstance(step, int) and step < len(everything) and everything[step].waiting:
            queue.discard(everything[step])
            left.append(everything[step])
        waiting = [entry for entry in everything if entry.waiting]
        assert queue.texts == len(waiting)
        assert queue.tokens == sum(entry.length for entry in waiting)
        held = Counter({name: caller.tokens for name, caller in queue.callers.items()})
        assert held == sum((Counter({e.caller.name: e.length}) for e in waiting), Counter())
    while queue.texts:
        cut_once()
    assert sorted(names(left)) == list(range(len(everything)))


def test_a_batch_is_filled_from_both_sides_of_the_seed() -> None:
    queue = lane_queue()
    for length in (50, 30, 49, 51, 52, 48, 90):
        add(queue, length, length)
    assert sorted(names(cut(queue, 260))) == [48, 49, 50, 51, 52]


def test_the_budget_counts_padding() -> None:
    queue = lane_queue(max_waste=0.9)
    for name, length in enumerate((4, 4, 20)):
        add(queue, name, length)
    # 28 tokens, but 60 when padded.
    assert [names(cut(queue, 40)), names(cut(queue, 40))] == [[0, 1], [2]]


def test_texts_of_one_length_leave_no_padding_for_a_longer_one() -> None:
    queue = lane_queue()
    add(queue, 0, 10)
    add(queue, 1, 11)
    add(queue, 2, 30)
    assert [names(cut(queue)), names(cut(queue))] == [[0, 1], [2]]


def test_a_caller_with_one_text_is_not_behind_thousands_of_another() -> None:
    queue = lane_queue()
    for name in range(10_000):
        add(queue, name, 10 + name % 40, caller="many")
    for _ in range(20):
        cut(queue)
    add(queue, -1, 100, caller="one")
    assert -1 in names(cut(queue)) + names(cut(queue))


def test_callers_that_send_as_much_are_served_as_much() -> None:
    queue = lane_queue(lead_tokens=0)
    for name in range(400):
        add(queue, name, 40, caller="long")
    for name in range(1_600):
        add(queue, name, 10, caller="short")
    served: Counter[str] = Counter()
    for _ in range(40):
        for entry in cut(queue):
            served[entry.caller.name] += entry.length
    assert abs(served["long"] - served["short"]) <= 2 * BUDGET


def test_an_old_caller_is_served_however_many_new_ones_come() -> None:
    queue = lane_queue()
    # Newcomers always wait, and none of their texts has a length near these.
    for name in range(5):
        add(queue, name, 200, caller="old")
    served = 0
    for newcomer in range(300):
        for each in range(2):
            add(queue, -1, 10, caller=f"{newcomer}.{each}")
        served += sum(entry.caller.name == "old" for entry in cut(queue, 20))
    assert served == 5


def test_a_caller_does_not_pay_for_ever_for_filling_the_batches_of_others() -> None:
    queue = lane_queue(lead_tokens=100_000)
    for name in range(1_000):
        add(queue, name, 10, caller="many")
    for newcomer in range(30):
        add(queue, -1, 10, caller=str(newcomer))
        cut(queue)
    # Nobody else waits now, so this is its turn, and it is even with whoever comes next.
    cut(queue)
    cuts = 0
    for newcomer in range(100, 200):
        add(queue, -1, 100, caller=str(newcomer))
        add(queue, -1, 100, caller=f"{newcomer}.")
        cuts += 1
        if any(entry.caller.name == "many" for entry in cut(queue)):
            break
    assert cuts <= 10


def test_callers_with_one_text_each_are_served_in_order_of_arrival() -> None:
    queue = lane_queue()
    for name, length in enumerate((10, 200, 50, 120, 90)):
        add(queue, name, length, caller=str(name))
    assert [names(cut(queue)) for _ in range(5)] == [[0], [1], [2], [3], [4]]


def test_a_caller_far_ahead_of_its_turn_does_not_fill_the_batches_of_others() -> None:
    queue = lane_queue(lead_tokens=30)
    add(queue, 0, 10, caller="many")
    cut(queue)
    for name in range(1, 100):
        add(queue, name, 10, caller="many")
    for name in range(100, 103):
        add(queue, name, 10, caller=str(name))
    first = cut(queue)
    assert {100, 101, 102} <= set(names(first))
    assert sum(entry.caller.name == "many" for entry in first) <= 5


def test_a_lone_caller_fills_whole_batches() -> None:
    queue = lane_queue(lead_tokens=0)
    for name in range(50):
        add(queue, name, 10)
    assert len(cut(queue)) == 25


class Answer:
    """Something whose life can be watched."""


def test_what_left_is_not_kept() -> None:
    queue: LaneQueue[Answer] = LaneQueue(max_waste=MAX_WASTE, lead_tokens=0)
    queue.add([0], Answer(), deadline=LATER, caller="stays", now=0)
    gone = []
    for _ in range(10_000):
        entry = queue.add([0, 0], Answer(), deadline=LATER, caller="c", now=0)
        queue.discard(entry)
        gone.append(weakref.ref(entry.answer))
    del entry
    assert sum(answer() is not None for answer in gone) < 2_000
    assert queue.texts == 1


def test_clearing_gives_back_what_waits() -> None:
    queue = lane_queue()
    entries = [add(queue, name, caller=str(name % 2)) for name in range(6)]
    queue.discard(entries[2])
    assert sorted(names(queue.clear())) == [0, 1, 3, 4, 5]
    assert (queue.texts, queue.tokens, queue.callers) == (0, 0, {})
