"""Turns of one event loop on a clock of the test's own, and places."""

import asyncio

import pytest
from longtail.runtime.admission import (
    PATIENCE_SECONDS,
    WAIT_SHARE,
    Places,
    Turns,
    keep_turn,
    pause_turn,
    places_of_calls,
    set_turn,
    turn_again,
)


class Work:
    """Takes turns of `seconds` each, on a clock that only they move."""

    def __init__(self, seconds: float = 1.0) -> None:
        self.seconds = seconds
        self.now = 100.0
        self.turns = Turns(lambda: self.now)
        self.done: list[str] = []

    async def call(self, caller: str) -> None:
        turn = self.turns.enter("Work", caller)
        if turn is not None:
            await turn
        self.now += self.seconds
        self.done.append(caller)

    async def learn(self) -> None:
        """Find out what a turn takes."""
        await self.call("first")
        await asyncio.sleep(0)
        self.now += 1.0
        self.done.clear()

    async def taken_at_once(self, seconds: float) -> int:
        """Return how many calls that have `seconds` are taken before one is refused."""
        calls = []
        while not self.refused("a", seconds):
            calls.append(asyncio.create_task(self.call("a")))
            # So that it is in line: calls are taken in for as long as they come.
            await asyncio.sleep(0)
        await asyncio.wait_for(asyncio.gather(*calls), 10)
        return len(calls)

    def refused(self, caller: str, seconds: float = 1e9) -> bool:
        return self.turns.refusal("Work", caller, seconds) is not None


async def test_one_call_has_its_turn_at_once() -> None:
    work = Work()
    await work.learn()
    assert not work.refused("a", 0.001)
    assert work.turns.enter("Work", "a") is None


async def test_a_call_that_comes_during_a_turn_waits_for_its_end() -> None:
    work = Work()
    assert work.turns.enter("Work", "a") is None
    turn = work.turns.enter("Work", "b")
    assert turn is not None
    assert not turn.done()
    await asyncio.wait_for(turn, 10)


async def test_callers_have_turns_in_rotation() -> None:
    work = Work()
    await work.learn()
    hot = [asyncio.create_task(work.call("hot")) for _ in range(5)]
    await asyncio.sleep(0)
    other = asyncio.create_task(work.call("other"))
    await asyncio.wait_for(asyncio.gather(*hot, other), 10)
    # The first had its turn before the other came, the second before its line was known.
    assert work.done.index("other") <= 2


async def test_who_would_wait_too_long_is_refused_and_who_would_not_is_taken() -> None:
    work = Work()
    await work.learn()
    hot = [asyncio.create_task(work.call("hot")) for _ in range(4)]
    await asyncio.sleep(0)
    waiting = 3
    needed = (waiting + 2) / WAIT_SHARE
    assert needed > PATIENCE_SECONDS
    assert work.refused("hot", needed + 0.1)
    assert work.refused("hot", 1.0)
    # There is one turn before that of somebody else, and its own.
    assert work.turns.refusal("Other", "other", 2.1) is None
    retry = work.turns.refusal("Work", "hot", 1.0)
    assert retry == pytest.approx(waiting + 2 - WAIT_SHARE)
    await asyncio.wait_for(asyncio.gather(*hot), 10)
    assert not work.refused("hot", 1.0)


async def test_as_many_calls_are_taken_at_once_as_turns_of_late_fit_into_the_time() -> None:
    """Follow what is measured, as a limit on concurrency would (Netflix's, by gradient or AIMD)."""
    work = Work(0.01)
    await work.learn()
    fitting = WAIT_SHARE * 1.0 / 0.01
    assert await work.taken_at_once(1.0) == pytest.approx(fitting, abs=2)
    work.seconds = 0.04
    await work.taken_at_once(1.0)
    assert await work.taken_at_once(1.0) == pytest.approx(fitting / 4, abs=2)
    work.seconds = 0.01
    for _ in range(4):
        await work.taken_at_once(1.0)
    assert await work.taken_at_once(1.0) == pytest.approx(fitting, abs=2)


async def test_a_caller_that_goes_leaves_its_turn_to_the_next() -> None:
    work = Work()
    await work.learn()
    tasks = [asyncio.create_task(work.call(caller)) for caller in "abc"]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
    assert work.done == ["a", "c"]
    assert not work.refused("b", 1.0)


async def test_work_goes_on_in_a_turn_of_its_own_after_a_wait() -> None:
    work = Work()

    async def call(caller: str) -> None:
        set_turn(work.turns, "Work again", caller)
        await turn_again()
        work.now += 1.0
        work.done.append(caller)

    await asyncio.wait_for(asyncio.gather(*map(call, "abcd")), 10)
    assert work.done == list("abcd")


class Waits:
    """Calls that wait for something in their turns, for as long as the test says."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.begun: list[str] = []
        self.done: list[str] = []
        self.waits = {caller: asyncio.get_running_loop().create_future() for caller in "ab"}

    async def call(self, caller: str) -> None:
        set_turn(self.turns, "Work again", caller)
        if (turn := self.turns.enter("Work", caller)) is not None:
            await turn
        self.begun.append(caller)
        await keep_turn(self.waits[caller])
        self.done.append(caller)


async def test_a_turn_lasts_over_a_short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longtail.runtime.admission.KEPT_SECONDS", 60.0)
    work = Waits()
    calls = [asyncio.create_task(work.call(caller)) for caller in "ab"]
    for _ in range(100):
        await asyncio.sleep(0)
    assert work.begun == ["a"]
    work.waits["b"].set_result(None)
    work.waits["a"].set_result(None)
    await asyncio.wait_for(asyncio.gather(*calls), 10)
    assert work.done == ["a", "b"]


async def test_after_a_long_wait_there_is_another_turn() -> None:
    work = Waits()
    calls = [asyncio.create_task(work.call(caller)) for caller in "ab"]
    work.waits["b"].set_result(None)
    await asyncio.wait_for(calls[1], 10)
    work.waits["a"].set_result(None)
    await asyncio.wait_for(calls[0], 10)
    assert work.done == ["b", "a"]


async def test_after_a_long_wait_a_call_goes_on_before_those_of_its_caller_that_wait() -> None:
    work = Work()
    await work.call("a")
    work.done.clear()
    waiting = [asyncio.create_task(work.call(caller)) for caller in ("a", "b")]
    await asyncio.sleep(0)
    goes_on = work.turns.enter("Work again", "a", goes_on=True)
    assert goes_on is not None
    # Nor do other callers wait for it longer than for any other turn of that caller.
    goes_on.add_done_callback(lambda _: work.done.append("a goes on"))
    await asyncio.wait_for(asyncio.gather(goes_on, *waiting), 10)
    assert work.done == ["a goes on", "b", "a"]


@pytest.mark.parametrize("end", ["cancelled", "failed", "at once"])
async def test_a_kept_turn_ends_however_the_wait_does(end: str) -> None:
    work = Waits()
    if end == "at once":
        work.waits["a"].set_result(None)
    first, second = (asyncio.create_task(work.call(caller)) for caller in "ab")
    await asyncio.sleep(0)
    if end == "cancelled":
        first.cancel()
    if end == "failed":
        work.waits["a"].set_exception(InterruptedError())
    work.waits["b"].set_result(None)
    await asyncio.wait_for(asyncio.gather(first, second, return_exceptions=True), 10)
    assert work.done == (["a", "b"] if end == "at once" else ["b"])
    # Nobody has it any more.
    await asyncio.wait_for(work.call("b"), 10)


async def test_calls_are_taken_in_within_a_turn_that_pauses_and_none_goes_before_it() -> None:
    work, arriving = Work(), []

    async def arrive() -> None:
        assert work.refused("late", 0.1)
        work.done.append("arrived")

    async def call(caller: str) -> None:
        set_turn(work.turns, "Work again", caller)
        if (turn := work.turns.enter("Work", caller)) is not None:
            await turn
        for part in range(2):
            if caller == "b":
                arriving.append(asyncio.create_task(arrive()))
            work.now += 1.0
            await pause_turn()
            work.done.append(f"{caller}{part}")

    await asyncio.wait_for(asyncio.gather(*map(call, "abc")), 10)
    assert work.done == ["a0", "a1", "arrived", "b0", "arrived", "b1", "c0", "c1"]


async def test_who_goes_in_a_pause_leaves_the_turn_to_the_next() -> None:
    work = Work()

    async def call(caller: str) -> None:
        set_turn(work.turns, "Work again", caller)
        if (turn := work.turns.enter("Work", caller)) is not None:
            await turn
        work.now += 1.0
        if caller == "b" and (task := asyncio.current_task()):
            task.cancel()
        await pause_turn()
        work.done.append(caller)

    calls = asyncio.gather(*map(call, "abc"), return_exceptions=True)
    await asyncio.wait_for(calls, 10)
    assert work.done == ["a", "c"]


async def test_there_are_no_turns_outside_of_an_rpc() -> None:
    await asyncio.wait_for(pause_turn(), 10)
    await asyncio.wait_for(turn_again(), 10)

    async def waiting() -> str:
        return "answer"

    assert await keep_turn(waiting()) == "answer"


def test_places_are_bounded_in_all_and_for_one_caller() -> None:
    places = Places(3, 2)
    assert [places.take(caller) for caller in "aaabb"] == [True, True, False, True, False]
    places.leave("a")
    assert places.taken == 2
    assert places.take("b")


@pytest.mark.parametrize(("total", "most"), [(1, 1), (2, 2), (256, 192)])
def test_no_caller_has_all_places_for_calls(total: int, most: int) -> None:
    places = places_of_calls(total)
    assert sum(places.take("a") for _ in range(total)) == most
