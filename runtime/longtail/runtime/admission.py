"""Which calls are taken, and whose turn it is: what is taken is answered in time.

All calls share one event loop. A call begins, and goes on after it waited for something, when it
has its turn; between two turns the loop takes in what has arrived, so that the queue is here, where
it is seen, and not in sockets. What a turn takes is measured, all that the loop does beside it
included. So the wait is predicted, and who would wait too long is told so at once.
"""

import asyncio
import math
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

# Of the time that a call has, the part that it may wait: predictions are means.
WAIT_SHARE = 0.5
# Nobody is kept waiting for longer, whatever deadline there is.
PATIENCE_SECONDS = 2.0
# A caller has at most this part of the places for calls.
CALLER_SHARE = 0.75
LEAST_RETRY_SECONDS, MOST_RETRY_SECONDS = 0.05, 5.0
# Passes of the event loop without a new call after which there are none that could be taken in.
QUIET_PASSES = 8
# A call that comes so soon after a turn may have waited for its end, and have others behind it: on
# a busy machine the loop takes that long to come to it.
DENSE_SECONDS = 0.002
# Behind a turn that took less nobody has gathered: the loop takes in a call between any two turns.
SHORT_SECONDS = 0.001
# A turn lasts over a wait for something else that is as short; after a longer one comes another.
KEPT_SECONDS = 0.005
_SMOOTHING = 0.1
# A turn that took longer than this against its mean was held up by something else.
_OUTLIER_FACTOR, _OUTLIER_SECONDS = 4.0, 0.05

R = TypeVar("R")


class Places:
    """Bounds the calls of one kind at a time, and how many of them one caller may have."""

    def __init__(self, total: int, per_caller: int) -> None:
        self._total = total
        self._per_caller = per_caller
        self.taken = 0
        self._callers: dict[str, int] = {}

    def take(self, caller: str) -> bool:
        """Take a place if there is one for the caller; say whether."""
        held = self._callers.get(caller, 0)
        if self.taken >= self._total or held >= self._per_caller:
            return False
        self.taken += 1
        self._callers[caller] = held + 1
        return True

    def leave(self, caller: str) -> None:
        """Give a place back."""
        self.taken -= 1
        held = self._callers[caller] - 1
        if held:
            self._callers[caller] = held
        else:
            del self._callers[caller]


def places_of_calls(total: int) -> Places:
    """Return places of which no caller can have all."""
    return Places(total, math.ceil(CALLER_SHARE * total))


class _Entry(NamedTuple):
    kind: str
    seconds: float
    turn: "asyncio.Future[None]"


@dataclass(slots=True)
class _Line:
    """What one caller has waiting, and how many seconds that takes."""

    entries: deque[_Entry] = field(default_factory=deque)
    seconds: float = 0.0


class Turns:
    """The turns of one event loop, one at a time; callers that wait have them in rotation.

    `clock` gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._costs: dict[str, float] = {}
        # In the order of their turns.
        self._lines: OrderedDict[str, _Line] = OrderedDict()
        self._seconds = 0.0
        self._taken = False
        self._kind = ""
        self._begun = self._ended = -math.inf
        self._arrived = self._seen = self._quiet = 0
        # What ends the turn, and whether it is kept over a wait until then.
        self._ending: asyncio.Handle | None = None
        self._kept = False
        # What goes on in a turn once the loop has taken in calls.
        self._paused: asyncio.Future[None] | None = None

    def refusal(self, kind: str, caller: str, seconds: float) -> float | None:
        """Return None when a call with `seconds` left would be answered in time.

        Otherwise the seconds after which there may be room. To be asked when a call arrives.
        """
        self._arrived += 1
        if not self._lines:
            # What is estimated too high would otherwise stop the measurements that put it right.
            return None
        cost = self._costs.get(kind, 0.0)
        line = self._lines.get(caller)
        held, others = (line.seconds, len(self._lines) - 1) if line else (0.0, len(self._lines))
        # Turns go round, so that nobody else has more of them until then.
        ahead = min(self._seconds, held + others * (held + cost))
        late = ahead + 2 * cost - WAIT_SHARE * min(seconds, PATIENCE_SECONDS)
        if late <= 0:
            return None
        return min(max(late, LEAST_RETRY_SECONDS), MOST_RETRY_SECONDS)

    def enter(self, kind: str, caller: str, goes_on: bool = False) -> "asyncio.Future[None] | None":
        """Return what to wait for until it is the caller's turn, None when that is now.

        A turn lasts until the task that has it waits for something but what it is kept over. What
        `goes_on` has waited for a turn before, and is the next of its caller.
        """
        if not self._taken:
            now = self._clock()
            if now - self._ended > DENSE_SECONDS or self._ended - self._begun < SHORT_SECONDS:
                self._begin(kind, now)
                return None
            self._taken = True
            self._begun = self._ended = now
            self._kind = ""
            self._take_in()
        turn = asyncio.get_running_loop().create_future()
        line = self._lines.get(caller)
        if line is None:
            line = self._lines[caller] = _Line()
        seconds = self._costs.get(kind, 0.0)
        (line.entries.appendleft if goes_on else line.entries.append)(_Entry(kind, seconds, turn))
        line.seconds += seconds
        self._seconds += seconds
        return turn

    async def keep(self, kind: str, caller: str, waiting: Awaitable[R]) -> R:
        """Return what is waited for, after which the caller has its turn: still, or again.

        Over a short wait a turn lasts, and the loop takes in calls meanwhile.
        """
        loop, kept = asyncio.get_running_loop(), None
        # Until its end is seen to, it is the turn of who asks.
        if self._ending is not None and not self._kept:
            self._ending.cancel()
            kept = self._ending = loop.call_later(KEPT_SECONDS, self._end)
            self._kept = True
        lasts = False
        try:
            result = await waiting
        finally:
            if kept is not None and self._ending is kept:
                lasts = True
                kept.cancel()
                self._ending, self._kept = loop.call_soon(self._end), False
        # Behind all others it would wait twice for as long as was said when it was taken.
        if not lasts and (turn := self.enter(kind, caller, goes_on=True)) is not None:
            await turn
        return result

    def pause(self) -> "asyncio.Future[None] | None":
        """Return what to wait for within a turn while the loop takes in calls; None with no need.

        No other turn comes in between.
        """
        if not self._lines or self._ending is None or self._kept:
            return None
        self._ending.cancel()
        self._ending = None
        self._paused = asyncio.get_running_loop().create_future()
        self._ended = self._clock()
        self._take_in()
        return self._paused

    def worth(self, kind: str, seconds: float) -> bool:
        """Say whether work that has its turn can be done in `seconds`."""
        return seconds > WAIT_SHARE * self._costs.get(kind, 0.0)

    def _begin(self, kind: str, now: float) -> None:
        self._taken, self._kind, self._begun = True, kind, now
        # The loop comes to it when the task that has the turn has let go.
        self._ending = asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        self._ending, self._kept = None, False
        self._ended = self._clock()
        if self._lines and self._ended - self._begun >= SHORT_SECONDS:
            self._take_in()
        else:
            self._next()

    def _take_in(self) -> None:
        self._seen, self._quiet = self._arrived, 0
        asyncio.get_running_loop().call_soon(self._pass)

    def _pass(self) -> None:
        """Let the loop take in calls while there are some; as long as a turn takes, at most."""
        if self._arrived != self._seen:
            self._seen, self._quiet = self._arrived, 0
            spent = self._clock() - self._ended
            if spent > max(self._ended - self._begun, SHORT_SECONDS):
                self._next()
                return
        else:
            self._quiet += 1
            if self._quiet >= QUIET_PASSES:
                self._next()
                return
        asyncio.get_running_loop().call_soon(self._pass)

    def _next(self) -> None:
        if (paused := self._paused) is not None:
            self._paused = None
            if not paused.done():
                paused.set_result(None)
                self._ending = asyncio.get_running_loop().call_soon(self._end)
                return
        self._learn()
        while self._lines:
            caller, line = self._lines.popitem(last=False)
            entry = line.entries.popleft()
            line.seconds -= entry.seconds
            self._seconds -= entry.seconds
            if line.entries:
                self._lines[caller] = line
            if not self._lines:
                self._seconds = 0.0
            if not entry.turn.done():
                entry.turn.set_result(None)
                self._begin(entry.kind, self._clock())
                return
        self._taken = False

    def _learn(self) -> None:
        if not self._kind:
            return
        seconds, known = self._clock() - self._begun, self._costs.get(self._kind)
        if known is None:
            self._costs[self._kind] = seconds
            return
        seconds = min(seconds, _OUTLIER_FACTOR * known + _OUTLIER_SECONDS)
        self._costs[self._kind] = known + _SMOOTHING * (seconds - known)


class _Turn(NamedTuple):
    turns: Turns
    kind: str
    caller: str


_turn: ContextVar[_Turn] = ContextVar("turn")


def set_turn(turns: Turns, kind: str, caller: str) -> None:
    """Say whose turns this task, which is one RPC, takes."""
    _turn.set(_Turn(turns, kind, caller))


async def turn_again() -> None:
    """Wait for another turn, after a wait for something else and before work; in an RPC only."""
    mine = _turn.get(None)
    if mine is not None and (turn := mine.turns.enter(mine.kind, mine.caller)) is not None:
        await turn


async def keep_turn(waiting: Awaitable[R]) -> R:
    """Return what is waited for, as a rule for a moment, after which there is a turn for work."""
    mine = _turn.get(None)
    if mine is None:
        return await waiting
    return await mine.turns.keep(mine.kind, mine.caller, waiting)


async def pause_turn() -> None:
    """Let the loop take in calls while others wait for their turns, and go on; in an RPC only."""
    mine = _turn.get(None)
    if mine is not None and (paused := mine.turns.pause()) is not None:
        await paused
