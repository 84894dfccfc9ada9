"""`python -m demo.leash PARENT COMMAND...`: become COMMAND, and be told to stop when PARENT dies.

The demo stops its processes itself; this is for the day when it is killed and cannot. The kernel
keeps the watch (PR_SET_PDEATHSIG), so the command needs no thread and no knowledge of the demo.
Setting it here, between fork and exec, would otherwise take a preexec_fn, which is unsafe in a
process with threads.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Replace this process by `command`. Other systems than Linux start it without the leash."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
        # The parent may have died before the kernel was asked to watch it.
        if os.getppid() != parent:
            sys.exit(f"the parent {parent} is gone")
    os.execv(command[0], command)  # noqa: S606 - the command is the demo's own


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
