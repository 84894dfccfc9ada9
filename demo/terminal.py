"""Hold Ctrl-C back from the programs that started us, so that they see how we ended.

A terminal sends Ctrl-C to its whole foreground process group. GNU make is in it too and dies of it,
whatever the exit code of what it runs; `make serve` would then report an orderly stop as an error.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def own_foreground_group() -> Iterator[None]:
    """Be the terminal's foreground group until the block ends.

    Does nothing without a terminal, in the background, or where a shell has already given us a
    group of our own.
    """
    if not sys.stdin.isatty():
        yield
        return
    terminal, inherited = sys.stdin.fileno(), os.getpgrp()
    if inherited == os.getpid() or os.tcgetpgrp(terminal) != inherited:
        yield
        return
    os.setpgid(0, 0)
    # Taking the terminal back from the background raises SIGTTOU. Ctrl-Z would stop us and leave
    # make waiting for ever, as it cannot see that its child is stopped.
    previous = {
        number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGTTOU, signal.SIGTSTP)
    }
    os.tcsetpgrp(terminal, os.getpgrp())
    try:
        yield
    finally:
        os.tcsetpgrp(terminal, inherited)
        for number, disposition in previous.items():
            signal.signal(number, disposition)
