"""The health of each service, from that of the parts of the process that it cannot do without."""

from collections.abc import Collection, Mapping

from longtail.runtime.lifecycle import HealthBoard


class ServiceHealth:
    """Keeps `board` true: a service serves while all the parts do that it `needs`.

    Until a part is heard of, it does not.
    """

    def __init__(self, board: HealthBoard, needs: Mapping[str, Collection[str]]) -> None:
        self._board = board
        self._needs = needs
        self._well: set[str] = set()

    async def set(self, part: str, well: bool) -> None:
        """Say whether a part does its work now."""
        (self._well.add if well else self._well.discard)(part)
        for service, parts in self._needs.items():
            await self._board.set(service, self._well.issuperset(parts))
