"""What a worker that hangs, is killed and comes back costs those who need no worker."""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator

from longtail.v1 import recommendation_service_pb2 as pb

from bench.figures import Measured, NotRun, single
from bench.load import latency, open_loop
from bench.processes import is_serving, worker
from bench.request.context import RECOMMEND, Context, of_people, of_texts
from loadtest.open_loop import Offered, Schedule

_SERVICE = pb.DESCRIPTOR.services_by_name["RecommendationService"].full_name
# What is asked for a second of each kind, with which deadline, and for how long in all.
_RATE, _PATIENCE_SECONDS, _SECONDS = 20.0, 0.5, 40.0
# Before the worker hangs, until it is killed, and until another is started.
_BEFORE_SECONDS, _HUNG_SECONDS, _DEAD_SECONDS = 5.0, 8.0, 5.0
_MOST_SECONDS, _POLL_SECONDS = 60.0, 0.05


def hung(bench: Context, users: list[str]) -> Iterator[Measured]:
    """Give the persons who failed, and how long it took to notice and to recover."""
    number = round(_RATE * _SECONDS)
    with (
        worker(bench.options.artefact, bench.out) as first,
        bench.serving(bench.demo_home, LONGTAIL_WORKER_ADDRESS=first.address) as running,
    ):
        schedule = Schedule(_RATE, _SECONDS)
        load = (running.address, RECOMMEND)
        limits = (schedule, _PATIENCE_SECONDS)
        persons = bench.generator.start(open_loop, *load, of_people(users, number), *limits)
        texts = of_texts([f"robots in space {time.time_ns()} {at}" for at in range(number)], number)
        asked = bench.other.start(open_loop, *load, texts, *limits)
        # Persons and texts are asked for all the while: the waits are how long they meet with what.
        time.sleep(_BEFORE_SECONDS)
        os.kill(first.pid, signal.SIGSTOP)
        noticed = _seconds_until(running.address, serving=False)
        time.sleep(_HUNG_SECONDS)
        os.kill(first.pid, signal.SIGKILL)
        time.sleep(_DEAD_SECONDS)
        with worker(bench.options.artefact, bench.out, first.address) as second:
            recovered = _seconds_until(running.address, serving=True)
            failed, others = persons.result(), asked.result()
    errors = [each for each in failed if each.error]
    note = f"{_listed(failed)}; p99 {1e3 * latency(failed, 99):.0f} ms; texts {_listed(others)}"
    yield single(float(len(errors)), len(failed), note)
    yield single(noticed, 1, "until health told that it hangs")
    yield single(recovered, 1, f"after a worker that took {second.start_seconds:.1f} s to start")


def _seconds_until(address: str, serving: bool) -> float:
    """Return the seconds until health tells so of what needs a worker."""
    begun = time.perf_counter()
    while is_serving(address, _SERVICE) != serving:
        if time.perf_counter() - begun > _MOST_SECONDS:
            raise NotRun("health never told of it")
        # As one that asks would see it, who is not told.
        time.sleep(_POLL_SECONDS)
    return time.perf_counter() - begun


def _listed(offered: list[Offered[None]]) -> str:
    counts = Counter(each.error or "OK" for each in offered)
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())
