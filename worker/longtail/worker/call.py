"""One call to embed texts: what it asks beside them, and what became of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from longtail.runtime.errors import ServiceError
from longtail.runtime.tracing import SpanContext, Trace
from longtail.worker.cache import Known
from longtail.worker.tokenizer import Role, Truncation
from longtail.worker.waiting import Lane


class Terms(NamedTuple):
    """What a call asks beside its texts; `deadline` is in seconds of `time.monotonic`.

    `trace` is that of the call, if it has one.
    """

    role: Role
    truncation: Truncation
    lane: Lane
    deadline: float
    caller: str
    trace: Trace | None = None


@dataclass(frozen=True)
class Refused:
    """A text that its own call does not allow, and why."""

    description: str


Outcome: TypeAlias = Known | Refused | ServiceError


class Result(NamedTuple):
    """What became of each text of one call, in order, and where the time went.

    `batch` is the span of the inference, of several calls, if it has one.
    """

    outcomes: Sequence[Outcome]
    tokenize_seconds: float = 0.0
    queue_seconds: float = 0.0
    inference_seconds: float = 0.0
    batch: SpanContext | None = None
