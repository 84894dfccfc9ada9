import logging

import pytest
from longtail.runtime.telemetry import configure_logging


def test_who_goes_while_being_answered_leaves_nothing_in_the_log(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])
    configure_logging("info")
    grpc = logging.getLogger("grpc._cython.cygrpc")
    grpc.error("ExecuteBatchError raised in core by servicer method [%s]", "/any")
    grpc.error("Unexpected [%s]", "what")
    assert "Unexpected [what]" in (told := capsys.readouterr().err)
    assert len(told.splitlines()) == 1
