"""The log: a line for each event, for people on a terminal, in JSON for programs.

A traceback tells where a fault of ours is, so there is none of what is expected to fail, such as a
full disk; and what goes wrong again and again at one place is not told in full each time.
"""

import json
import logging
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from longtail.runtime.control_characters import escaped
from longtail.runtime.errors import ServiceError
from longtail.runtime.request_id import request_id
from longtail.runtime.tracing import current_trace

LOG_LEVELS = ("debug", "info", "warning", "error")
AUTO, TEXT, JSON = "auto", "text", "json"
LOG_FORMATS = (AUTO, TEXT, JSON)
# Of errors of one kind at one place, in so long: one with its traceback, so many lines more.
PLACE_SECONDS, PLACE_LINES = 60.0, 10
# Places that are remembered; a program has no end of kinds of errors.
_PLACES = 1000
_GRPC, _CALLER_GONE = "grpc._cython.cygrpc", "ExecuteBatchError raised in core by servicer method"
# What is put into a message, and the name that it has there.
_FIELD = re.compile(r"(?:\b(\w+)=)?%(%|[-#0 +]*\d*(?:\.\d+)?[a-z])")


def configure_logging(level: str, form: str) -> None:
    """Send the log from `level`, one of LOG_LEVELS, on to standard error, in one of LOG_FORMATS."""
    handler = logging.StreamHandler(sys.stderr)
    as_json = form == JSON or (form == AUTO and not sys.stderr.isatty())
    handler.setFormatter(_JsonFormatter() if as_json else _TextFormatter())
    handler.addFilter(FewTracebacks())
    handler.addFilter(_is_news)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


class FewTracebacks(logging.Filter):
    """Lets an error through with `traceback`, without, or not at all; `alike` were not since.

    `clock` gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        # When what went wrong at a place was last told in full, and how often it did since.
        self._places: dict[tuple[object, ...], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a record is told, and note in it how."""
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            return True
        place = (record.pathname, record.lineno, type(error), _raised_at(error))
        now = self._clock()
        since, count = self._places.get(place, (-PLACE_SECONDS, 0))
        if now - since >= PLACE_SECONDS:
            # The one told longest ago goes first.
            self._places.pop(place, None)
            self._places[place] = (now, 0)
            if len(self._places) > _PLACES:
                del self._places[next(iter(self._places))]
            record.traceback = not isinstance(error, ServiceError | OSError)
            record.alike = max(0, count - PLACE_LINES)
            return True
        self._places[place] = (since, count + 1)
        record.traceback, record.alike = False, 0
        return count < PLACE_LINES


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(record.created))
        head = f"{moment}.{int(record.msecs):03d} {record.levelname} {record.name}"
        about = "".join(f" {name}={value}" for name, value in _about_call())
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            about += f" error={type(error).__name__}: {error} at={_raised_at(error)}"
            if alike := getattr(record, "alike", 0):
                about += f" alike={alike}"
        # A line is an event, whatever somebody wrote.
        line = escaped(f"{head} {record.getMessage()}{about}")
        if error is not None and getattr(record, "traceback", True):
            told = "".join(traceback.format_exception(error)).rstrip()
            line = "\n".join([line, *map(escaped, told.split("\n"))])
        return line


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        told: dict[str, Any] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": os.getpid(),
            "message": record.getMessage(),
            **dict(_about_call()),
        }
        for name, value in _fields(record):
            told.setdefault(name, value)
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            told["exception"] = {
                "type": type(error).__name__,
                "message": str(error),
                "at": _raised_at(error),
            }
            if alike := getattr(record, "alike", 0):
                told["exception"]["alike"] = alike
            if getattr(record, "traceback", True):
                told["exception"]["traceback"] = "".join(traceback.format_exception(error))
        return escaped(json.dumps(told, ensure_ascii=False))


def _about_call() -> Iterator[tuple[str, str]]:
    if asked := request_id():
        yield "request_id", asked
    trace = current_trace()
    if trace is not None:
        yield "trace_id", trace.context.trace_id
        yield "span_id", trace.context.span_id


def _fields(record: logging.LogRecord) -> Iterator[tuple[str, object]]:
    """Yield what the message calls by a name, such as `part=%s`."""
    if not isinstance(record.args, tuple):
        return
    values = iter(record.args)
    for match in _FIELD.finditer(record.msg):
        if match[2] == "%":
            continue
        value = next(values, None)
        if match[1]:
            yield match[1], value if isinstance(value, bool | int | float) else str(value)


def _raised_at(error: BaseException) -> str:
    """Return the file and the line that raised an error, "" where it was not raised."""
    last = error.__traceback__
    if last is None:
        return ""
    while last.tb_next is not None:
        last = last.tb_next
    return f"{os.path.basename(last.tb_frame.f_code.co_filename)}:{last.tb_lineno}"


def _is_news(record: logging.LogRecord) -> bool:
    """Whether gRPC tells of more than a caller that went while its answer was being sent.

    Anybody may do that as often as they like, for a traceback each time.
    """
    return record.name != _GRPC or not record.getMessage().startswith(_CALLER_GONE)
