"""Whether the worker does its work: it does while each of its parts does."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

Report = Callable[[bool], Awaitable[None]]


class Health:
    """Joins what the parts say of themselves; at first none of them is well."""

    def __init__(self, parts: Sequence[str], publish: Report) -> None:
        self._well = dict.fromkeys(parts, False)
        self._publish = publish

    def part(self, name: str) -> Report:
        """Return what the part `name` calls to say whether it is well."""
        return partial(self._hear, name)

    async def _hear(self, name: str, well: bool) -> None:
        before = all(self._well.values())
        self._well[name] = well
        if (now := all(self._well.values())) != before:
            await self._publish(now)
