"""What a load test counts, and the percentiles that follow.

A percentile is over all requests that were offered. One that failed, or was never sent, counts as
never answered: a server cannot look faster by refusing or by stalling its clients.
"""

import math
from array import array
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from hdrh.histogram import HdrHistogram
from longtail.v1.recommendation_service_pb2 import RecommendResponse

from loadtest.open_loop import NOT_SENT, Offered, Schedule

STAGES = ("embedding", "search", "ranking", "total")
PERCENTILES = (50.0, 90.0, 99.0, 99.9)
# One microsecond to an hour, three significant digits.
_LONGEST_MICROSECONDS = 3_600_000_000
_MICROSECONDS = 1e6


class Answered(NamedTuple):
    """The answer of a method."""

    method: str
    response: Message


@dataclass
class Latencies:
    """A histogram of seconds."""

    histogram: HdrHistogram = field(
        default_factory=lambda: HdrHistogram(1, _LONGEST_MICROSECONDS, 3)
    )

    def record(self, seconds: float) -> None:
        """Add one latency."""
        microseconds = round(seconds * _MICROSECONDS)
        self.histogram.record_value(min(max(microseconds, 1), _LONGEST_MICROSECONDS))

    @property
    def count(self) -> int:
        """Latencies recorded."""
        return int(self.histogram.get_total_count())

    def percentile(self, percentile: float, *, offered: int) -> float:
        """Return seconds; infinite when fewer than the percentile of `offered` were answered."""
        if not self.count:
            return math.inf
        among_answered = percentile * offered / self.count
        # 99.9 of 1000 is one part in ten million above 999 in floating point.
        if among_answered > 100 + 1e-9:
            return math.inf
        value = self.histogram.get_value_at_percentile(min(among_answered, 100.0))
        return float(value) / _MICROSECONDS

    def longest(self) -> float:
        """Return the longest of the seconds recorded; infinite when there are none."""
        if not self.count:
            return math.inf
        return float(self.histogram.get_max_value()) / _MICROSECONDS


@dataclass
class Measurements:
    """Everything that is known of the requests offered after the warm-up.

    `latency` is from the intended start to the answer, `methods` the same of each method. `lag` is
    from the intended start to the sending: when it is not small, the machine of the load test is
    itself too slow. `due` has the seconds since the warm-up at which each request was due, and
    `taken` its latency, infinite where no answer came.
    """

    schedule: Schedule
    offered: int = 0
    not_sent: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    latency: Latencies = field(default_factory=Latencies)
    methods: dict[str, Latencies] = field(default_factory=lambda: defaultdict(Latencies))
    lag: Latencies = field(default_factory=Latencies)
    stages: dict[str, Latencies] = field(
        default_factory=lambda: {stage: Latencies() for stage in STAGES}
    )
    due: "array[float]" = field(default_factory=lambda: array("d"))
    taken: "array[float]" = field(default_factory=lambda: array("d"))
    seconds: float = 0.0

    def note(self, offered: Offered[Answered]) -> None:
        """Count a request, with the server's own account of where its time went."""
        self.offered += 1
        self.due.append(offered.due - self.schedule.warmup_seconds)
        self.taken.append(math.inf if offered.answer is None else offered.latency)
        if offered.error == NOT_SENT:
            self.not_sent += 1
            return
        self.lag.record(offered.lag)
        if offered.answer is None:
            self.errors[offered.error] += 1
            return
        method, response = offered.answer
        self.latency.record(offered.latency)
        self.methods[method].record(offered.latency)
        if not isinstance(response, RecommendResponse):
            return
        for stage, times in self.stages.items():
            duration: Duration = getattr(response.timings, stage)
            times.record(duration.ToNanoseconds() / 1e9)

    def percentile(self, percentile: float) -> float:
        """Return the latency in seconds, over all requests offered."""
        return self.latency.percentile(percentile, offered=self.offered)

    @property
    def error_share(self) -> float:
        """Share of the offered requests that failed or were not sent, 0 to 1."""
        failed = self.not_sent + sum(self.errors.values())
        return failed / self.offered if self.offered else 0.0

    @property
    def achieved_rate(self) -> float:
        """Answers per second, until the last of them."""
        return self.latency.count / self.seconds if self.seconds else 0.0
