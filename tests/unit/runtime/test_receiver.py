"""Where traces go, and what is said when that is nowhere."""

import sys
from pathlib import Path

import pytest
from longtail.runtime.receiver import Receiver, tracing_to
from longtail.runtime.settings import SettingsError


@pytest.mark.parametrize(
    ("endpoint", "target", "secure"),
    [
        ("http://collector:4317", "collector:4317", False),
        ("https://collector", "collector:4317", True),
        ("http://127.0.0.1:1/", "127.0.0.1:1", False),
        ("http://[::1]:4317", "[::1]:4317", False),
    ],
)
def test_a_receiver_has_a_url(endpoint: str, target: str, secure: bool) -> None:
    assert Receiver.parse(endpoint) == (target, secure)


@pytest.mark.parametrize(
    "endpoint",
    [
        "collector:4317",
        "ftp://a:1",
        "http://",
        "http://a:0x",
        "http://a:70000",
        "http://a/v1/traces",
    ],
)
def test_anything_else_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match="is not http"):
        Receiver.parse(endpoint)


def test_nothing_is_traced_without_a_receiver() -> None:
    with tracing_to("", "", "longtail-server", 1.0) as tracer:
        assert tracer is None


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "longtail.runtime.span_export", raising=False)
    monkeypatch.setitem(
        sys.modules, "opentelemetry.proto.collector.trace.v1.trace_service_pb2", None
    )
    with (
        pytest.raises(SettingsError, match=r"pip install 'longtail-server\[tracing\]'"),
        tracing_to("http://a:1", "", "longtail-server", 1.0),
    ):
        pass


def test_authorities_that_are_not_there_are_named(tmp_path: Path) -> None:
    with (
        pytest.raises(SettingsError, match="LONGTAIL_TRACES_CA="),
        tracing_to("https://a:1", str(tmp_path / "none.pem"), "longtail-server", 1.0),
    ):
        pass
