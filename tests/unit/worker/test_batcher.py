"""What the batcher does with the texts of many callers."""

import asyncio
import os
import sys
import time
from collections.abc import Sequence

import prometheus_client
import pytest
from longtail.runtime.errors import DeadlineExceeded, Overloaded
from longtail.runtime.tracing import SpanContext, Spans, Tracer
from longtail.worker.batcher import Batcher
from longtail.worker.vectors import TokenIds, Vectors
from longtail.worker.waiting import Lane

from tests.unit.worker.batching import FakeEncoder, occupy, running, submit, text, values


def dropped(reason: str) -> float:
    sample = prometheus_client.REGISTRY.get_sample_value(
        "longtail_worker_dropped_total", {"reason": reason}
    )
    return sample or 0.0


async def test_a_lone_text_is_not_kept_waiting_for_others() -> None:
    encoder = FakeEncoder()
    async with running(encoder) as batcher:
        assert await values(submit(batcher, text(7))) == [7]
    assert encoder.batches == [[7]]


@pytest.mark.skipif(sys.platform != "linux", reason="niceness is a thread's on Linux alone")
async def test_inference_steps_back_behind_the_serving_of_calls() -> None:
    class Niceness(FakeEncoder):
        def __call__(self, batch: Sequence[TokenIds]) -> Vectors:
            self.level = os.getpriority(os.PRIO_PROCESS, 0)
            return super().__call__(batch)

    encoder = Niceness()
    async with running(encoder) as batcher:
        await values(submit(batcher, text(7)))
    assert encoder.level > os.getpriority(os.PRIO_PROCESS, 0)


async def test_what_waits_is_batched_across_callers_within_the_budget() -> None:
    encoder = FakeEncoder()
    async with running(encoder) as batcher:
        first = await occupy(batcher, encoder)
        others = [submit(batcher, text(i), caller=str(i)) for i in range(1, 7)]
        encoder.gate.set()
        assert await values(first) == [0]
        assert [await values(answers) for answers in others] == [[i] for i in range(1, 7)]
    assert encoder.batches == [[0], [1, 2, 3, 4], [5, 6]]


async def test_an_inference_has_a_span_that_leads_to_the_calls_in_it() -> None:
    encoder, sent = FakeEncoder(), list[Spans]()
    calls = [SpanContext("a" * 32, "b" * 16), SpanContext("c" * 32, "d" * 16)]
    async with running(encoder, tracer=Tracer(sent.append, 0.0)) as batcher:
        first = await occupy(batcher, encoder)
        answers = [submit(batcher, text(i), caller=str(i))[0] for i in range(1, 4)]
        # Two texts of one call, one of another; that of the first batch is of none.
        for answer, call in zip(answers, [calls[0], calls[0], calls[1]], strict=True):
            answer.spans.append(call)
        encoder.gate.set()
        assert await values(first) == [0]
        embedded = [await answer for answer in answers]
    [spans] = sent
    [span] = spans.spans
    assert list(span.links) == calls
    assert span.attributes == {"longtail.texts": 3, "longtail.padded_tokens": 30}
    assert {each.batch for each in embedded} == {SpanContext(spans.trace_id, span.span_id)}
    assert span.ended - span.started == pytest.approx(embedded[0].inference_seconds)


async def test_a_text_beyond_the_budget_has_a_batch_to_itself() -> None:
    encoder = FakeEncoder()
    async with running(encoder) as batcher:
        answers = submit(batcher, text(1), text(2, 90), text(3))
        assert await values(answers) == [1, 2, 3]
    assert encoder.batches == [[1, 3], [2]]


async def test_free_slots_share_one_call() -> None:
    encoder = FakeEncoder()
    encoder.gate.clear()
    async with running(encoder, slots=2, batch_tokens=1_000) as batcher:
        answers = submit(batcher, *(text(i) for i in range(32)))
        for _ in range(2):
            await asyncio.to_thread(encoder.started.acquire)
        assert [len(batch) for batch in encoder.batches] == [16, 16]
        encoder.gate.set()
        assert await values(answers) == list(range(32))


async def test_a_slot_is_woken_for_what_another_left() -> None:
    encoder = FakeEncoder()
    async with running(encoder, slots=2) as batcher:
        await values(submit(batcher, text(0)))
        encoder.started.acquire(blocking=False)
        encoder.gate.clear()
        # They are few enough for one batch, but their lengths forbid it.
        answers = submit(batcher, text(1, 3), text(2, 30))
        for _ in range(2):
            await asyncio.wait_for(asyncio.to_thread(encoder.started.acquire), 30)
        encoder.gate.set()
        assert await values(answers) == [1, 2]


async def test_interactive_texts_go_before_bulk_ones() -> None:
    encoder = FakeEncoder()
    async with running(encoder) as batcher:
        await occupy(batcher, encoder)
        bulk = submit(batcher, text(1), lane=Lane.BULK)
        interactive = submit(batcher, text(2))
        encoder.gate.set()
        await values([*bulk, *interactive])
    assert encoder.batches == [[0], [2], [1]]


async def test_a_cancelled_caller_is_not_worked_for() -> None:
    encoder = FakeEncoder()
    async with running(encoder) as batcher:
        await occupy(batcher, encoder)
        gone, stays = submit(batcher, text(1), text(2))
        before = dropped("cancelled")
        gone.cancel()
        encoder.gate.set()
        assert await values([stays]) == [2]
        assert dropped("cancelled") == before + 1
    assert encoder.batches == [[0], [2]]


async def test_a_cancelled_text_makes_room_in_the_queue() -> None:
    encoder = FakeEncoder()
    async with running(encoder, max_queued_tokens=100) as batcher:
        await occupy(batcher, encoder)
        (gone,) = submit(batcher, text(1, 90))
        with pytest.raises(Overloaded):
            submit(batcher, text(2, 20), caller="another")
        gone.cancel()
        answers = submit(batcher, text(2, 20), caller="another")
        encoder.gate.set()
        assert await values(answers) == [2]


async def test_an_expired_text_is_told_and_not_worked_for() -> None:
    encoder = FakeEncoder()
    now = time.monotonic()
    batcher = Batcher(encoder, slots=1, batch_tokens=40, max_queued_tokens=1_000, clock=lambda: now)
    task = asyncio.create_task(batcher.run())
    await occupy(batcher, encoder)
    (late,) = submit(batcher, text(1), deadline=now + 1)
    (stays,) = submit(batcher, text(2), deadline=now + 30)
    now += 2
    encoder.gate.set()
    with pytest.raises(DeadlineExceeded):
        await late
    assert await values([stays]) == [2]
    assert encoder.batches == [[0], [2]]
    task.cancel()


async def test_a_passed_deadline_is_refused_at_once() -> None:
    async with running(FakeEncoder()) as batcher:
        with pytest.raises(DeadlineExceeded):
            submit(batcher, text(1), deadline=time.monotonic())


async def test_a_full_queue_refuses_at_once_and_takes_again_when_it_empties() -> None:
    encoder = FakeEncoder()
    async with running(encoder, max_queued_tokens=100) as batcher:
        await occupy(batcher, encoder)
        waiting = submit(batcher, text(1, 60), caller="1")
        with pytest.raises(Overloaded, match="60 tokens are waiting") as refused:
            submit(batcher, text(2, 41), caller="2")
        assert refused.value.retry_seconds > 0
        fits = submit(batcher, text(3, 40), caller="3")
        encoder.gate.set()
        assert await values([*waiting, *fits]) == [1, 3]
        assert await values(submit(batcher, text(2, 41), caller="2")) == [2]


async def test_a_call_larger_than_the_queue_is_taken_when_nothing_waits() -> None:
    encoder = FakeEncoder()
    async with running(encoder, max_queued_tokens=100) as batcher:
        answers = submit(batcher, *(text(i) for i in range(30)))
        assert await values(answers) == list(range(30))


async def test_the_depth_of_each_lane_is_shown() -> None:
    def depth(lane: Lane) -> tuple[float | None, ...]:
        return tuple(
            prometheus_client.REGISTRY.get_sample_value(
                f"longtail_worker_queued_{what}", {"lane": lane.value}
            )
            for what in ("texts", "tokens")
        )

    encoder = FakeEncoder()
    async with running(encoder) as batcher:
        await occupy(batcher, encoder)
        submit(batcher, text(1), text(2, 7))
        submit(batcher, text(3, 5), lane=Lane.BULK)
        assert depth(Lane.INTERACTIVE) == (2, 17)
        assert depth(Lane.BULK) == (1, 5)
