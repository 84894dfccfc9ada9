"""Spans over real gRPC to a real OTLP receiver, which may be away for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from longtail.runtime import span_export
from longtail.runtime.receiver import tracing_to
from longtail.runtime.span_export import SpanExport
from longtail.runtime.telemetry import TRACES_LOST
from longtail.runtime.tracing import Kind, Span, SpanContext, Spans
from opentelemetry.proto.trace.v1 import trace_pb2

from tests.certificates import Authority
from tests.otlp_receiver import OtlpReceiver, otlp_receiver, values

TRACE, SPAN, OTHER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "b7ad6b7169203331"


def spans(name: str = "call") -> Spans:
    return Spans(TRACE, "shop=1", [Span(name, 1.0, 2.0, "", SPAN, Kind.SERVER)])


def lost(why: str) -> float:
    return float(TRACES_LOST.labels(why)._value.get())


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span_export, "SECONDS", 0.02)
    monkeypatch.setattr(span_export, "SEND_SECONDS", 30.0)


@contextmanager
def exporting(receiver: OtlpReceiver) -> Iterator[SpanExport]:
    with grpc.insecure_channel(receiver.address) as channel:
        export = SpanExport(channel, "longtail-server")
        try:
            yield export
        finally:
            export.close()


def test_a_span_arrives_as_it_was_noted() -> None:
    link = SpanContext(OTHER * 2, OTHER)
    noted = Span(
        "inference", 1.5, 1.75, SPAN, OTHER, Kind.CLIENT, {"a": "b", "n": 3}, [link], failed=True
    )
    with otlp_receiver() as receiver, exporting(receiver) as export:
        export.send(Spans(TRACE, "shop=1", [noted]))
        [got] = receiver.wait(lambda all_: len(all_) == 1)
        process = receiver.process_of(got)
    assert (got.trace_id.hex(), got.span_id.hex(), got.parent_span_id.hex()) == (TRACE, OTHER, SPAN)
    assert (got.name, got.kind, got.trace_state) == ("inference", got.SPAN_KIND_CLIENT, "shop=1")
    assert got.end_time_unix_nano - got.start_time_unix_nano == 250_000_000
    assert values(got.attributes) == {"a": "b", "n": 3}
    assert [(each.trace_id.hex(), each.span_id.hex()) for each in got.links] == [link]
    assert got.status.code == trace_pb2.Status.STATUS_CODE_ERROR
    assert process["service.name"] == "longtail-server"


def test_a_receiver_is_believed_by_its_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ours")
    other = Authority(tmp_path / "others").certificate
    refused, sent = lost("ended"), list[str]()
    with otlp_receiver(authority.certify("collector")) as receiver:
        endpoint = f"https://{receiver.address}"
        for believed in (other, authority.certificate):
            with tracing_to(endpoint, str(believed), "longtail-server", 1.0) as tracer:
                assert tracer is not None
                trace = tracer.begin("Recommend", ())
                assert trace is not None
                trace.end("OK")
                sent.append(trace.context.trace_id)
        [got] = receiver.spans()
    assert got.trace_id.hex() == sent[-1]
    assert lost("ended") == refused + 1


def test_what_waits_at_the_end_is_sent() -> None:
    with otlp_receiver() as receiver:
        with exporting(receiver) as export:
            for _ in range(3):
                export.send(spans())
        assert len(receiver.spans()) == 3


def test_what_came_while_the_receiver_was_away_is_sent_later_and_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level("INFO"), otlp_receiver() as receiver, exporting(receiver) as export:
        receiver.failure = grpc.StatusCode.UNAVAILABLE
        export.send(spans("first"))
        receiver.wait_for_calls(3)
        receiver.failure = None
        export.send(spans("second"))
        got = receiver.wait(lambda all_: len(all_) == 2)
        assert [span.name for span in got] == ["first", "second"]
    told = [record.message for record in caplog.records]
    assert told == [
        "traces not sent code=UNAVAILABLE error=as the test wants it",
        "traces sent again",
    ]


def test_what_the_receiver_does_not_want_is_counted_and_not_sent_again() -> None:
    before = lost("refused")
    with otlp_receiver() as receiver:
        receiver.failure = grpc.StatusCode.INVALID_ARGUMENT
        with exporting(receiver) as export:
            export.send(spans())
            receiver.wait_for_calls(1)
        assert receiver.calls == 1
    assert lost("refused") == before + 1


def test_calls_wait_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span_export, "MOST_WAITING", 2)
    monkeypatch.setattr(span_export, "SECONDS", 60.0)
    before = lost("full")
    with otlp_receiver() as receiver:
        with exporting(receiver) as export:
            for _ in range(5):
                export.send(spans())
        assert len(receiver.spans()) == 2
    assert lost("full") == before + 3


def test_what_cannot_be_sent_at_the_end_is_counted() -> None:
    before = lost("ended")
    with otlp_receiver() as receiver:
        receiver.failure = grpc.StatusCode.UNAVAILABLE
        with exporting(receiver) as export:
            export.send(spans())
    assert lost("ended") == before + 1
