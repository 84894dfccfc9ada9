"""`python -P traced.py OUT MODULE`: run a server that writes down each call of each Recommend.

A line of JSON for each: the Python calls from the service's method to its return, on all threads;
those into our own files; and the distinct functions and files of ours among them.
"""

import json
import runpy
import sys
import threading
from pathlib import Path
from types import CodeType, FrameType

_ENTRY = "RecommendationService.Recommend"


class Trace:
    """Counts calls while a Recommend is answered; one at a time, as it is asked."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._codes: list[CodeType] | None = None

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        """Take note of an event of the interpreter."""
        code = frame.f_code
        if self._codes is None:
            if event == "call" and code.co_qualname == _ENTRY:
                self._codes = [code]
        elif event == "call":
            if code.co_qualname != _ENTRY:
                self._codes.append(code)
        elif event == "return" and code.co_qualname == _ENTRY and _is_answer(argument):
            codes, self._codes = self._codes, None
            self._write(codes)

    def _write(self, codes: list[CodeType]) -> None:
        ours = [code for code in codes if _is_ours(code)]
        counts = {
            "calls": len(codes),
            "our_calls": len(ours),
            "functions": len({code for code in ours if not code.co_name.startswith("<")}),
            "files": len({code.co_filename for code in ours}),
        }
        with self._out.open("a") as lines:
            lines.write(json.dumps(counts) + "\n")


def _is_answer(returned: object) -> bool:
    # A coroutine that waits gives back what it waits for, or nothing.
    return returned is not None and not hasattr(returned, "_asyncio_future_blocking")


def _is_ours(code: CodeType) -> bool:
    parts = Path(code.co_filename).parts
    return "site-packages" not in parts and bool({"server", "runtime"} & set(parts))


if __name__ == "__main__":
    trace = Trace(Path(sys.argv[1]))
    module = sys.argv[2]
    sys.argv[:] = [module]
    threading.setprofile(trace)
    sys.setprofile(trace)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
