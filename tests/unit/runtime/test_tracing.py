"""Which calls are traced, by W3C Trace Context or by chance, and what is noted of them."""

import pytest
from longtail.runtime.tracing import (
    MOST_SPANS,
    MOST_STATE_CHARACTERS,
    Kind,
    SpanContext,
    Spans,
    Trace,
    Tracer,
)

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
METHOD = "longtail.v1.RecommendationService/Recommend"


def begin(*metadata: tuple[str, str], ratio: float = 0.0) -> tuple[Trace | None, list[Spans]]:
    sent: list[Spans] = []
    return Tracer(sent.append, ratio).begin(METHOD, metadata), sent


def begun(*metadata: tuple[str, str], ratio: float = 0.0) -> tuple[Trace, list[Spans]]:
    trace, sent = begin(*metadata, ratio=ratio)
    assert trace is not None
    return trace, sent


def test_a_call_goes_on_with_the_trace_of_its_caller() -> None:
    state = [("tracestate", "shop=1"), ("tracestate", "cart=2")]
    trace, sent = begun(("traceparent", f"00-{TRACE}-{CALLER}-01"), *state)
    trace.end("OK")
    [spans] = sent
    assert (spans.trace_id, spans.state) == (TRACE, "shop=1,cart=2")
    [root] = spans.spans
    assert (root.name, root.parent_id, root.kind) == (METHOD, CALLER, Kind.SERVER)
    assert root.span_id == trace.context.span_id != CALLER
    assert root.started <= root.ended


def test_another_process_is_told_of_the_trace() -> None:
    trace, _ = begun(("traceparent", f"00-{TRACE}-{CALLER}-01"), ("tracestate", "shop=1"))
    told = trace.metadata("b7ad6b7169203331")
    assert told == (
        ("traceparent", f"00-{TRACE}-b7ad6b7169203331-01"),
        ("tracestate", "shop=1"),
    )
    there, _ = begun(*told)
    assert there.context.trace_id == TRACE


def test_a_caller_who_does_not_trace_is_not_traced() -> None:
    assert begin(("traceparent", f"00-{TRACE}-{CALLER}-00"), ratio=1.0)[0] is None


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        f"00-{TRACE}-{CALLER}",
        f"00-{TRACE}-{CALLER}-01-more",
        f"ff-{TRACE}-{CALLER}-01",
        f"00-{'0' * 32}-{CALLER}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{CALLER}-01",
        f"00-{TRACE}-{CALLER}-0x",
        f"00-{TRACE}-{CALLER}-01\n",
    ],
)
def test_what_is_no_context_counts_for_nothing(traceparent: str) -> None:
    given = [("traceparent", traceparent), ("tracestate", "shop=1")]
    assert begin(*given, ratio=0.0)[0] is None
    trace, _ = begun(*given, ratio=1.0)
    assert trace.context.trace_id != TRACE
    assert trace.state == ""


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    trace, _ = begun(("traceparent", f"01-{TRACE}-{CALLER}-03-and-more"))
    assert trace.context.trace_id == TRACE


def test_too_much_state_is_dropped_whole() -> None:
    state = "shop=" + "1" * MOST_STATE_CHARACTERS
    trace, _ = begun(("traceparent", f"00-{TRACE}-{CALLER}-01"), ("tracestate", state))
    assert trace.state == ""


def test_the_ratio_is_that_of_calls_without_a_context() -> None:
    tracer = Tracer(lambda spans: None, 0.25)
    traced = sum(tracer.begin(METHOD, ()) is not None for _ in range(4000))
    # Ten standard deviations.
    assert abs(traced - 1000) < 10 * (4000 * 0.25 * 0.75) ** 0.5


def test_stages_are_sent_with_the_call_and_those_that_end_later_by_themselves() -> None:
    trace, sent = begun(ratio=1.0)
    trace.note("context", 1.0, 2.0)
    trace.note_call("longtail.v1.EmbeddingService/Embed", "worker:1", "b7ad6b7169203331", 1.0, "OK")
    assert not sent
    trace.end("UNAVAILABLE")
    trace.note("late", 3.0, 4.0)
    [whole, late] = sent
    stage, call, root = whole.spans
    assert (stage.name, stage.started, stage.ended) == ("context", 1.0, 2.0)
    assert (call.kind, call.span_id, call.failed) == (Kind.CLIENT, "b7ad6b7169203331", False)
    assert root.failed
    assert [span.name for span in late.spans] == ["late"]
    assert {span.parent_id for span in (stage, call, *late.spans)} == {root.span_id}


def test_a_long_call_does_not_gather_spans_without_end() -> None:
    trace, sent = begun(ratio=1.0)
    for _ in range(MOST_SPANS + 3):
        trace.note("commit", 1.0, 2.0)
    trace.end("OK")
    assert len(sent[0].spans) == MOST_SPANS + 1
    assert sent[0].spans[-1].attributes["longtail.spans_left_out"] == 3


def test_a_batch_has_a_trace_of_its_own() -> None:
    sent: list[Spans] = []
    links = [SpanContext(TRACE, CALLER)]
    tracer = Tracer(sent.append, 0.0)
    made = tracer.note_batch("batch", 1.0, 2.0, attributes={"longtail.texts": 1}, links=links)
    [spans] = sent
    [span] = spans.spans
    assert (spans.trace_id, span.span_id, span.parent_id) == (*made, "")
    assert span.links == links
    assert spans.trace_id != TRACE
