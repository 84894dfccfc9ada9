"""The id of the call that is worked on: what a caller and the log know it by."""

import os
import re
from contextvars import ContextVar
from typing import Any

from longtail.runtime.tracing import current_trace

HEADER = "x-request-id"
# What may stand in a line of the log as it came.
_PLAIN = re.compile(r"[!-~]{1,128}")


class _Call:
    """A call of gRPC's `context`, whose id is looked for when somebody wants it."""

    __slots__ = ("_context", "_id")

    def __init__(self, context: Any) -> None:  # noqa: ANN401 (of any kind of call)
        self._context = context
        self._id = ""

    @property
    def id(self) -> str:
        if not self._id:
            self._id = self._given() or self._traced() or os.urandom(16).hex()
        return self._id

    def _given(self) -> str:
        for name, value in self._context.invocation_metadata() or ():
            if name == HEADER and isinstance(value, str) and _PLAIN.fullmatch(value):
                return value
        return ""

    def _traced(self) -> str:
        trace = current_trace()
        return "" if trace is None else trace.context.trace_id


_call: ContextVar[_Call | None] = ContextVar("call", default=None)


def set_call(context: Any) -> None:  # noqa: ANN401
    """Say which RPC this task is, by gRPC's context of it."""
    _call.set(_Call(context))


def request_id() -> str:
    """Return the id of the call that is worked on, "" where there is none.

    It is the caller's `x-request-id`, or that of the trace, or one of its own.
    """
    call = _call.get()
    return "" if call is None else call.id
