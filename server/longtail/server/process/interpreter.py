"""The interpreter, which threads have in turns: long work of many short steps lets others have it.

Who waits for it insists after a while in which nobody woke it (see SWITCH_SECONDS in
`longtail.server.__main__`). NumPy and SQLite let go of it for an instant again and again: that
wakes those who wait and, before they are there, takes it from them. Work of many such steps keeps
the event loop waiting until it is done, were it not for this.
"""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

# Whoever is woken needs some 15 us to be there. The system adds about fifty to so short a sleep.
_GIVEN_SECONDS = 2e-5
# Four parts of a hundred go to others, whether there are any or not.
_KEPT_SECONDS = 0.002


def giving_way(steps: Iterable[T]) -> Iterator[T]:
    """Yield `steps`, and between two of them let others have the interpreter from time to time.

    In a thread: it sleeps, which would stop an event loop.
    """
    since = time.perf_counter()
    for step in steps:
        yield step
        if time.perf_counter() - since > _KEPT_SECONDS:
            time.sleep(_GIVEN_SECONDS)
            since = time.perf_counter()
