"""An item as a caller wants it to be, before it has a vector of the encoder's."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from longtail.server.store.records import NO_VECTORS, ItemContent, Vector, VectorSpace


@dataclass(frozen=True)
class ItemDraft:
    """A valid item to be written; `vector` (d,) is the caller's own, of unit length, or None.

    `extra_vectors` are those in other spaces than the encoder's, of unit length too.
    """

    content: ItemContent
    vector: Vector | None
    extra_vectors: Mapping[VectorSpace, Vector] = field(default_factory=lambda: NO_VECTORS)

    @property
    def to_be_encoded(self) -> bool:
        """Whether its vector is to be made of its text; without one and the other it has none."""
        return self.vector is None and bool(self.content.title or self.content.text)
