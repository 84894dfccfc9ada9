"""Decides whether a call is taken: by the room in its lane, its caller's share, its deadline."""

from typing import Generic

from longtail.runtime.errors import DeadlineExceeded, Overloaded
from longtail.worker import metrics
from longtail.worker.scheduler import MARGIN, Scheduler
from longtail.worker.waiting import Answer, Lane

_MIN_RETRY_SECONDS, _MAX_RETRY_SECONDS = 0.05, 5.0
# Callers' shares are looked at only when the lane is fuller than this.
_PRESSURE = 0.5


class Admission(Generic[Answer]):
    """Refuses at once what would be answered too late, or would crowd out others.

    The tokens that wait are bounded per call of a lane: interactive calls see their own lane only,
    so that imports cannot shut them out. A call that finds its lane empty, or whose caller has
    nothing waiting, is not too large for its room or its share, so that none is refused for ever.
    """

    def __init__(self, scheduler: Scheduler[Answer], *, max_queued_tokens: int) -> None:
        self._scheduler = scheduler
        self._max_queued_tokens = max_queued_tokens

    def check(
        self, *, texts: int, tokens: int, lane: Lane, deadline: float, caller: str, now: float
    ) -> None:
        """Raise Overloaded when the call cannot be taken, DeadlineExceeded when it is too late."""
        if deadline <= now:
            metrics.DROPPED.labels("expired").inc(texts)
            raise DeadlineExceeded("the deadline passed before the call was queued")
        if self._scheduler.idle:
            return
        self._check_room(texts, tokens, lane)
        self._check_share(texts, tokens, lane, caller)
        late = now + (1 + MARGIN) * self.predict(tokens, lane, caller, now) - deadline
        if late > 0:
            raise self._refuse(
                "hopeless", texts, late, "the deadline would pass before the answer: too much waits"
            )

    def predict(self, tokens: int, lane: Lane, caller: str, now: float) -> float:
        """Return the seconds until a call of `tokens` that came now would be answered.

        These are the rest of what runs, what is served before the call's last text, and the batch
        that this text is in, which takes its time whoever else is in it.
        """
        scheduler = self._scheduler
        ahead = self._ahead(tokens, lane, caller)
        last = min(tokens, scheduler.batch_tokens)
        batch = min(ahead + last, scheduler.batch_tokens)
        return (
            scheduler.busy_seconds(now)
            + scheduler.drain_seconds(ahead + tokens - last, lane)
            + scheduler.cost.seconds(batch)
        )

    def _ahead(self, tokens: int, lane: Lane, caller: str) -> float:
        """Return at most how many tokens are served before the last text of a call.

        Turns are fair, so no other caller is served much more than this one until then.
        """
        queue = self._scheduler.lanes[lane]
        first = self._scheduler.lanes[Lane.INTERACTIVE].tokens if lane is Lane.BULK else 0
        if not queue.texts:
            return first
        owner = queue.callers.get(caller)
        held, others = (owner.tokens, len(queue.callers) - 1) if owner else (0, len(queue.callers))
        turn = held + tokens + queue.tokens / queue.texts
        return first + min(queue.tokens, held + others * turn + self._scheduler.lead_tokens)

    def _waiting(self, lane: Lane) -> int:
        lanes = self._scheduler.lanes
        bulk = lanes[Lane.BULK].tokens if lane is Lane.BULK else 0
        return lanes[Lane.INTERACTIVE].tokens + bulk

    def _check_room(self, texts: int, tokens: int, lane: Lane) -> None:
        waiting = self._waiting(lane)
        excess = waiting + tokens - self._max_queued_tokens
        if excess > 0 and self._scheduler.lanes[lane].texts:
            seconds = self._scheduler.drain_seconds(excess, lane)
            raise self._refuse(
                "overloaded", texts, seconds, f"{waiting} tokens are waiting for inference"
            )

    def _check_share(self, texts: int, tokens: int, lane: Lane, caller: str) -> None:
        queue = self._scheduler.lanes[lane]
        owner = queue.callers.get(caller)
        if owner is None or self._waiting(lane) + tokens <= _PRESSURE * self._max_queued_tokens:
            return
        share = self._max_queued_tokens / len(queue.callers)
        excess = owner.tokens + tokens - share
        if excess > 0:
            # Its own tokens go at the pace of its share.
            seconds = self._scheduler.drain_seconds(excess * len(queue.callers), lane)
            raise self._refuse(
                "unfair_share",
                texts,
                seconds,
                f"{owner.tokens} tokens of this caller are waiting, and others wait too",
            )

    def _refuse(self, reason: str, texts: int, seconds: float, message: str) -> Overloaded:
        metrics.DROPPED.labels(reason).inc(texts)
        wait = min(max(seconds, _MIN_RETRY_SECONDS), _MAX_RETRY_SECONDS)
        return Overloaded(message, retry_seconds=wait)
