"""What Python's collector of cycles looks through: as a rule not what stays."""

import gc
import math
import time

# A look through all objects that took longer found much that stays.
LONG_LOOK_SECONDS = 0.005
# Once in so long a look sees what the others pass over.
WHOLE_SECONDS = 600.0


def keep_collections_short() -> None:
    """Have Python's collector of cycles pass over what has survived a long look at everything.

    Such a look holds the interpreter: in a server for 50 ms where there are 90,000 items, at every
    large write, and in a worker for 15 to 40 ms, every two seconds under load. Nearly all that it
    finds is what stays, modules, a catalogue and people, which references keep count of. But there
    are calls in flight among it too, and what they leave in cycles is found by a later look.
    """
    began, due = 0.0, math.inf

    def note(phase: str, info: dict[str, int]) -> None:
        nonlocal began, due
        if info["generation"] < 2:
            return
        if phase == "start":
            began = time.thread_time()
        elif time.monotonic() > due:
            due = math.inf
            gc.unfreeze()
        elif time.thread_time() - began > LONG_LOOK_SECONDS:
            due = min(due, time.monotonic() + WHOLE_SECONDS)
            gc.freeze()

    gc.callbacks.append(note)
