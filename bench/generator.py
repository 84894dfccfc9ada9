"""The load generator: one process apart from the bench, that waits while nothing is asked of it."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from longtail.v1 import embedding_service_pb2 as pb

from bench.closed_loop import Answers

P = ParamSpec("P")
T = TypeVar("T")


class LoadError(Exception):
    """A load failed in part, so that its rate would mean nothing."""


class Generator:
    """Runs functions in the generator's process, one at a time."""

    def __init__(self, processes: ProcessPoolExecutor) -> None:
        self._processes = processes

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what `function` returns there; it is a module's, and picklable as all it gets."""
        return self.start(function, *args, **kwargs).result()

    def start(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Begin what `run` would wait for."""
        return self._processes.submit(function, *args, **kwargs)


@contextmanager
def generator() -> Iterator[Generator]:
    """Start the process, and end it with the block."""
    # A fork would inherit gRPC's threads as they happen to be.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as processes:
        yield Generator(processes)


def requests_of(
    texts: Sequence[str],
    per_call: int = 1,
    lane: pb.Lane = pb.LANE_INTERACTIVE,
    role: pb.Role = pb.ROLE_ITEM,
) -> list[bytes]:
    """Return serialised EmbedRequests of `per_call` texts each, the last of what is left."""
    return [
        pb.EmbedRequest(
            texts=texts[start : start + per_call], role=role, lane=lane
        ).SerializeToString()
        for start in range(0, len(texts), per_call)
    ]


def checked(outcome: Answers) -> Answers:
    """Return the outcome; raise LoadError when a call or a text of it failed."""
    if outcome.errors:
        raise LoadError(f"calls failed: {dict(outcome.errors)}")
    for _, answer in outcome.answers:
        for result in pb.EmbedResponse.FromString(answer).results:
            if result.HasField("status"):
                raise LoadError(f"a text failed: {result.status.message}")
    return outcome
