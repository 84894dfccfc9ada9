"""What Python's collector of cycles looks through: as a rule not what stays."""

import gc
import time

# A look through all objects that took longer found much that stays.
LONG_LOOK_SECONDS = 0.005
# Of so many looks after that, one sees what the others pass over.
LOOKS = 16


def keep_collections_short() -> None:
    """Have Python's collector of cycles pass over what has survived a long look at everything.

    Such a look holds the interpreter: in a server for 50 ms where there are 90,000 items, at every
    large write, and in a worker for 15 to 40 ms, every two seconds under load. Nearly all that it
    finds is what stays, modules, a catalogue and people, which references keep count of. But there
    are calls in flight among it too, and what they leave in cycles is found by a later look.
    """
    began, passed_over = 0.0, 0

    def note(phase: str, info: dict[str, int]) -> None:
        nonlocal began, passed_over
        if info["generation"] < 2:
            return
        if phase == "start":
            began = time.thread_time()
            return
        is_long = time.thread_time() - began > LONG_LOOK_SECONDS
        if passed_over == LOOKS:
            passed_over = 0
            gc.unfreeze()
        elif passed_over or is_long:
            passed_over += 1
            if is_long:
                gc.freeze()

    gc.callbacks.append(note)
