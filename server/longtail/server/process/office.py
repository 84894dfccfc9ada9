"""Whether this process is the one that maintains the store, as the rest of it goes by."""

import asyncio


class Office:
    """The office of maintaining the store: taken, held for a while, lost. In the loop's thread."""

    def __init__(self) -> None:
        self._held = asyncio.Event()

    @property
    def is_held(self) -> bool:
        """Whether this process is in office."""
        return self._held.is_set()

    async def taken(self) -> None:
        """Wait until it is."""
        await self._held.wait()

    def set(self, held: bool) -> None:
        """Say whether it is from now on."""
        (self._held.set if held else self._held.clear)()
