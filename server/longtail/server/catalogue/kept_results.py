"""The latest results of searches, by what was asked for, for any number of threads."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class KeptResults(Generic[K, V]):
    """At most `most` results; the one asked for longest ago makes room."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: OrderedDict[K, V] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._held)

    def get(self, keys: Sequence[K]) -> list[V | None]:
        """Return the result of each key, None where it is not held."""
        with self._lock:
            found = [self._held.get(key) for key in keys]
            for key, result in zip(keys, found, strict=True):
                if result is not None:
                    self._held.move_to_end(key)
        return found

    def found(self, keys: Sequence[K], search: Callable[[list[int]], Sequence[V]]) -> list[V]:
        """Return the result of each key; `search` gives those at the positions that are new."""
        held = self.get(keys)
        new = [at for at, result in enumerate(held) if result is None]
        if new:
            searched = search(new)
            self.put([keys[at] for at in new], searched)
            for at, result in zip(new, searched, strict=True):
                held[at] = result
        return [result for result in held if result is not None]

    def put(self, keys: Iterable[K], results: Iterable[V]) -> None:
        """Hold results."""
        with self._lock:
            self._held.update(zip(keys, results, strict=True))
            while len(self._held) > self._most:
                self._held.popitem(last=False)
