"""An item as a caller wants it to be, before it has a vector of the encoder's."""

from dataclasses import dataclass

from longtail.server.store.records import ItemContent, Vector


@dataclass(frozen=True)
class ItemDraft:
    """A valid item to be written; `vector` (d,) is the caller's own, of unit length, or None."""

    content: ItemContent
    vector: Vector | None
