import os
import subprocess
import sys
from pathlib import Path

import pytest

from demo.terminal import own_foreground_group

CTRL_C = b"\x03"
TIMEOUT_SECONDS = 120

# Runs its arguments on a terminal of their own, types what it reads, and exits as they do. A shell
# starts what it puts into the background with SIGINT ignored, and that is inherited.
ON_A_TERMINAL = """
import os, pty, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))
"""

PROGRAM = """
import contextlib, signal, sys
from demo.terminal import own_foreground_group

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
with {guard}():
    sys.stdout.write("running\\n")
    sys.stdout.flush()
    signal.sigwait([signal.SIGINT])
sys.stdout.write("orderly\\n")
"""

# Exits with 1 when the terminal was not given back to make's group.
AFTERWARDS = "import os, sys; sys.exit(os.tcgetpgrp(0) != os.getpgrp())"

MAKEFILE = """
serve:
\t@{python} {program}
\t@{python} -c "{afterwards}"
"""


def make_and_press_ctrl_c(folder: Path, guard: str) -> tuple[int, bytes]:
    """Run the program by `make` on a terminal; return make's exit code and what was shown."""
    program, makefile = folder / "program.py", folder / "Makefile"
    program.write_text(PROGRAM.format(guard=guard))
    makefile.write_text(
        MAKEFILE.format(python=sys.executable, program=program, afterwards=AFTERWARDS)
    )
    # A make above us, such as the one that runs the tests, would change what this one prints.
    ours = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MF"))
    }
    with subprocess.Popen(
        [sys.executable, "-c", ON_A_TERMINAL, "make", "-f", str(makefile)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**ours, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as terminal:
        try:
            assert terminal.stdout is not None
            assert terminal.stdout.readline().strip() == b"running"
            shown, _ = terminal.communicate(CTRL_C, timeout=TIMEOUT_SECONDS)
        finally:
            terminal.kill()
        return terminal.returncode, shown


def test_make_sees_an_orderly_end_after_ctrl_c(tmp_path: Path) -> None:
    code, shown = make_and_press_ctrl_c(tmp_path, "own_foreground_group")
    assert (code, b"orderly" in shown) == (0, True), shown


def test_make_would_die_of_ctrl_c_otherwise(tmp_path: Path) -> None:
    code, shown = make_and_press_ctrl_c(tmp_path, "contextlib.nullcontext")
    assert code != 0, shown


def test_without_a_terminal_nothing_changes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    group = os.getpgrp()
    with (tmp_path / "input").open("w+") as no_terminal:
        monkeypatch.setattr(sys, "stdin", no_terminal)
        with own_foreground_group():
            assert os.getpgrp() == group
