"""The log: a line for each event, in two forms, with tracebacks of faults of ours only."""

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from longtail.runtime import logs
from longtail.runtime.errors import StoreDamaged
from longtail.runtime.logs import PLACE_LINES, PLACE_SECONDS, FewTracebacks, configure_logging
from longtail.runtime.request_id import set_call
from longtail.runtime.tracing import Tracer, set_trace

logger = logging.getLogger("longtail.test")

Told = Callable[..., Callable[[], list[str]]]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Call:
    """What gRPC gives of a call that came with `metadata`."""

    def __init__(self, *metadata: tuple[str, str]) -> None:
        self._metadata = metadata

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    handlers, level = list(logging.root.handlers), logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """Return what configures logging and returns what reads its lines."""

    def configure(form: str, stream: io.StringIO | None = None) -> Callable[[], list[str]]:
        output = stream or io.StringIO()
        monkeypatch.setattr(sys, "stderr", output)
        configure_logging("info", form)
        return lambda: output.getvalue().splitlines()

    return configure


def objects(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines]


def fail(error: BaseException) -> None:
    try:
        raise error
    except BaseException:
        logger.exception("unexpected failure method=%s", "Recommend")


def test_text_is_for_terminals_and_json_for_the_rest(told: Told) -> None:
    on_terminal = told("auto", Terminal())
    logger.info("listening address=%s", "127.0.0.1:1")
    assert on_terminal()[0].endswith("INFO longtail.test listening address=127.0.0.1:1")
    elsewhere = told("auto")
    logger.info("listening address=%s", "127.0.0.1:1")
    assert objects(elsewhere())[0]["message"] == "listening address=127.0.0.1:1"


def test_json_has_what_the_message_names(told: Told) -> None:
    lines = told("json")
    logger.warning("kept %d%% of=%s well=%s mode=%o seconds=%.1f", 7, ["a"], True, 448, 1.25)
    [line] = objects(lines())
    assert line["message"] == "kept 7% of=['a'] well=True mode=700 seconds=1.2"
    named = {name: line[name] for name in ("of", "well", "mode", "seconds")}
    assert named == {"of": "['a']", "well": True, "mode": 448, "seconds": 1.25}
    assert (line["level"], line["logger"]) == ("warning", "longtail.test")


def test_a_name_in_a_message_takes_the_place_of_nothing(told: Told) -> None:
    lines = told("json")
    logger.info("level=%s message=%s", "x", "y")
    [line] = objects(lines())
    assert (line["level"], line["message"]) == ("info", "level=x message=y")


async def test_a_line_of_a_call_has_its_id_and_trace(told: Told) -> None:
    lines = told("json")
    logger.info("outside")
    set_call(Call(("x-request-id", "cart-7")))
    logger.info("inside")
    trace = Tracer(lambda spans: None, 1.0).begin("Recommend", ())
    assert trace is not None
    set_trace(trace)
    set_call(Call(("x-request-id", "two\nlines")))
    logger.info("traced")
    logger.info("again")
    outside, inside, traced, again = objects(lines())
    assert "request_id" not in outside
    assert inside["request_id"] == "cart-7"
    assert traced["request_id"] == traced["trace_id"] == trace.context.trace_id
    assert again["request_id"] == traced["request_id"]


async def test_a_call_without_an_id_gets_one_for_all_its_lines(told: Told) -> None:
    lines = told("json")
    for _ in range(2):
        set_call(Call())
        logger.info("one")
        logger.info("two")
    ids = [line["request_id"] for line in objects(lines())]
    assert ids[0] == ids[1] != ids[2] == ids[3]


def test_a_fault_of_ours_has_a_traceback(told: Told) -> None:
    lines = told("json")
    fail(KeyError("x"))
    [line] = objects(lines())
    assert line["exception"]["type"] == "KeyError"
    assert line["exception"]["at"].startswith("test_logs.py:")
    assert "in fail" in line["exception"]["traceback"]
    shown = told("text")
    fail(KeyError("x"))
    assert shown()[0].endswith(f"error=KeyError: 'x' at={line['exception']['at']}")
    assert shown()[1] == "Traceback (most recent call last):"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), StoreDamaged("x")])
def test_what_is_expected_to_fail_has_none(error: Exception, told: Told) -> None:
    lines = told("json")
    fail(error)
    [line] = objects(lines())
    assert line["exception"]["message"] == str(error)
    assert "traceback" not in line["exception"]
    shown = told("text")
    fail(error)
    assert len(shown()) == 1


def test_a_line_stays_one_line(told: Told) -> None:
    shown = told("text")
    logger.info("named name=%s", "a\n\rb\x1b[2J")
    [line] = shown()
    assert line.endswith(r"named name=a\n\rb\u001b[2J")
    fail(ValueError("a\r\x1b[2J\x9b"))
    assert len(shown()) > 2
    assert all(line.isprintable() for line in shown())
    lines = told("json")
    fail(ValueError("a\x85b\x7f"))
    [json_line] = lines()
    assert json_line.isprintable()
    assert json.loads(json_line)["exception"]["message"] == "a\x85b\x7f"


def test_what_fails_again_and_again_is_told_in_full_once_a_while(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(logs, "FewTracebacks", lambda: FewTracebacks(lambda: now))
    lines = told("json")
    for _ in range(100):
        fail(KeyError("x"))
    fail(ValueError("another kind"))
    first = objects(lines())
    assert len(first) == 1 + PLACE_LINES + 1
    whole = [each for each in first if "traceback" in each["exception"]]
    assert [each["exception"]["type"] for each in whole] == ["KeyError", "ValueError"]
    now = PLACE_SECONDS
    fail(KeyError("x"))
    later = objects(lines())[-1]["exception"]
    assert later["alike"] == 99 - PLACE_LINES
    assert "traceback" in later


def test_who_goes_while_being_answered_leaves_nothing_in_the_log(told: Told) -> None:
    lines = told("text")
    grpc = logging.getLogger("grpc._cython.cygrpc")
    grpc.error("ExecuteBatchError raised in core by servicer method [%s]", "/any")
    grpc.error("Unexpected [%s]", "what")
    assert len(lines()) == 1
    assert "Unexpected [what]" in lines()[0]
