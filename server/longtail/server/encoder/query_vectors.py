"""Vectors of queries: each text is encoded once, and callers that wait at once share a call.

Nobody is waited for: a call goes out as soon as fewer than AT_ONCE have their turn, with whatever
is asked for by then. Alone, a text goes at once; of many, those that come during a call go together
in the next. A call to a worker that hangs has its turn for TURN_SECONDS, and then holds up nobody.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from longtail.runtime.admission import turn_again
from longtail.runtime.deadline import remaining_seconds, within
from longtail.runtime.errors import DeadlineExceeded, Overloaded
from longtail.runtime.tracing import Trace, current_trace, set_trace
from longtail.server.encoder.encoder import TEXTS_PER_CALL
from longtail.server.encoder.passages import Embedded
from longtail.server.store.records import EncoderBinding, Vector
from longtail.v1 import embedding_service_pb2 as pb
from numpy.typing import NDArray

# Calls for one encoder that have their turn: while one is computed, the next is on its way.
AT_ONCE = 2
# Longer than a worker takes that is well.
TURN_SECONDS = 1.0
# A call that somebody else made is worth waiting for when it has so much of one's own time.
LEAST_SHARE = 0.5
# Vectors that are kept: 16 MB at 384 dimensions.
KEPT = 10_000

# Callers that wait at a time: the others have the rest of the places for calls, whatever becomes of
# the workers.
MOST_WAITING = 128
RETRY_SECONDS = 0.25

LATE = "the encoder did not answer in time"

Embed = Callable[[Sequence[str], pb.Role, pb.Lane, EncoderBinding], Awaitable[list[Embedded]]]
# Stands for a text of an encoder, so that no text of anybody is kept.
Key = bytes


@dataclass(eq=False)
class _Asked:
    """A text that is asked for, until a moment of the monotonic clock, by a call with a trace."""

    text: str
    until: float
    trace: Trace | None
    vector: "asyncio.Future[Vector]"


class QueryVectors:
    """Encodes the texts of requests through `embed`. For one event loop."""

    def __init__(self, embed: Embed) -> None:
        self._embed = embed
        # The one used longest ago comes first.
        self._kept: OrderedDict[Key, Vector] = OrderedDict()
        self._waiting: dict[EncoderBinding, dict[Key, _Asked]] = {}
        # What waits, and what is under way.
        self._coming: dict[Key, _Asked] = {}
        # Those that have their turn, and all of them.
        self._turns: dict[EncoderBinding, set[asyncio.Task[None]]] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self._callers = 0

    async def of(
        self, texts: Sequence[str], binding: EncoderBinding, seconds: float | None = None
    ) -> NDArray[np.float32]:
        """Return one unit row per text (n, d), within the deadline of the RPC being worked on.

        Raises what `embed` raises, what it says of a text that has no vector, DeadlineExceeded
        after `seconds`, if they are given, whatever the RPC has left, and Overloaded when
        MOST_WAITING wait already.
        """
        known = [self._kept_of(_key(text, binding)) for text in texts]
        if all(vector is not None for vector in known):
            return np.stack(known)  # type: ignore[arg-type]  # none is None
        if self._callers >= MOST_WAITING:
            raise Overloaded("too many wait for the encoder", retry_seconds=RETRY_SECONDS)
        self._callers += 1
        try:
            vectors = await self._encoded(texts, binding, seconds)
        finally:
            self._callers -= 1
        # Many have theirs at once, and each has work to do now.
        await turn_again()
        return vectors

    async def _encoded(
        self, texts: Sequence[str], binding: EncoderBinding, seconds: float | None
    ) -> NDArray[np.float32]:
        limit = remaining_seconds() if seconds is None else seconds
        found = [self._kept_or_coming(text, binding, limit) for text in texts]
        if binding in self._waiting:
            self._call(binding)
        try:
            async with asyncio.timeout(seconds):
                vectors = [
                    # Others wait for it too: a caller that goes must not take it along.
                    await asyncio.shield(each) if isinstance(each, asyncio.Future) else each
                    for each in found
                ]
        except TimeoutError:
            raise DeadlineExceeded(LATE) from None
        return np.stack(vectors)

    def _kept_of(self, key: Key) -> Vector | None:
        vector = self._kept.get(key)
        if vector is not None:
            self._kept.move_to_end(key)
        return vector

    def _kept_or_coming(
        self, text: str, binding: EncoderBinding, seconds: float
    ) -> "Vector | asyncio.Future[Vector]":
        key = _key(text, binding)
        vector = self._kept_of(key)
        if vector is not None:
            return vector
        now = time.monotonic()
        waiting = self._waiting.setdefault(binding, {})
        asked = self._coming.get(key)
        if asked is not None and key in waiting:
            asked.until = max(asked.until, now + seconds)
        elif asked is None or asked.until - now < LEAST_SHARE * seconds:
            asked = _Asked(
                text, now + seconds, current_trace(), asyncio.get_running_loop().create_future()
            )
            # A failure that nobody waits for any more is no news.
            asked.vector.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._coming[key] = waiting[key] = asked
        return asked.vector

    def _call(self, binding: EncoderBinding) -> None:
        waiting, turns = self._waiting[binding], self._turns.setdefault(binding, set())
        if waiting and len(turns) < AT_ONCE:
            self._drop_late(waiting)
        while waiting and len(turns) < AT_ONCE:
            batch = {key: waiting.pop(key) for key in list(waiting)[:TEXTS_PER_CALL]}
            loop = asyncio.get_running_loop()
            task = loop.create_task(self._encode(batch, binding))
            turns.add(task)
            self._calls.add(task)
            turn = loop.call_later(TURN_SECONDS, self._next, task, binding)
            task.add_done_callback(partial(self._ended, turn, binding))
        if not turns and not waiting:
            del self._turns[binding], self._waiting[binding]

    def _drop_late(self, waiting: dict[Key, _Asked]) -> None:
        """Forget what nobody waits for any more."""
        now = time.monotonic()
        for key in [key for key, asked in waiting.items() if asked.until <= now]:
            asked = waiting.pop(key)
            del self._coming[key]
            if not asked.vector.done():
                asked.vector.set_exception(DeadlineExceeded(LATE))

    def _ended(
        self, turn: asyncio.TimerHandle, binding: EncoderBinding, task: "asyncio.Task[None]"
    ) -> None:
        turn.cancel()
        self._calls.discard(task)
        self._next(task, binding)

    def _next(self, task: "asyncio.Task[None]", binding: EncoderBinding) -> None:
        """End the turn of a call, if it still has it."""
        turns = self._turns.get(binding, set())
        if task in turns:
            turns.discard(task)
            self._call(binding)

    async def _encode(self, batch: dict[Key, _Asked], binding: EncoderBinding) -> None:
        failure: BaseException | None = None
        embedded: Sequence[Embedded | BaseException] = ()
        traces = {asked.trace: None for asked in batch.values() if asked.trace is not None}
        first = next(iter(traces), None)
        # Begun by whichever call came, or had ended, last.
        set_trace(first)
        started = time.perf_counter()
        try:
            # Whoever has less time stops waiting by itself.
            with within(max(asked.until for asked in batch.values()) - time.monotonic()):
                texts = [asked.text for asked in batch.values()]
                embedded = await self._embed(texts, pb.ROLE_QUERY, pb.LANE_INTERACTIVE, binding)
        except Exception as error:
            failure = error
        for trace in traces:
            if first is not None and trace is not first:
                ended = time.perf_counter()
                trace.note("shared encoder call", started, ended, links=[first.context])
        for at, (key, asked) in enumerate(batch.items()):
            if self._coming.get(key) is asked:
                del self._coming[key]
            result = embedded[at] if failure is None else failure
            if asked.vector.done():
                continue
            if isinstance(result, BaseException):
                asked.vector.set_exception(result)
            else:
                self._keep(key, result)
                asked.vector.set_result(result)

    def _keep(self, key: Key, vector: Vector) -> None:
        # Of its own: a row would keep all the others of its call.
        self._kept[key] = vector.copy()
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)


def _key(text: str, binding: EncoderBinding) -> Key:
    key = binding.model_id.encode()[:64]
    return hashlib.blake2b(text.encode(), digest_size=16, key=key).digest()
