"""The store as a whole: its parts, its encoder, its size."""

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Select, func, select
from sqlalchemy.dialects.sqlite import insert

from server.store.changes import ChangeLog
from server.store.database import open_database, writing
from server.store.interactions import InteractionRecords
from server.store.items import ItemRecords
from server.store.records import Counts, EncoderBinding
from server.store.schema import encoder, interactions, items


class RecordStore:
    """Items, vectors, interactions and popularity, under one sequence of revisions.

    One thread writes at a time (the caller sees to that); any number read meanwhile. A write is
    durable when its method returns.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.items = ItemRecords(engine)
        self.interactions = InteractionRecords(engine)
        self.changes = ChangeLog(engine)

    @classmethod
    def open(cls, path: Path) -> "RecordStore":
        """Open the store in the file `path`, made or brought to the newest schema."""
        return cls(open_database(path))

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def encoder(self) -> EncoderBinding | None:
        """Return the encoder of the catalogue's vectors; None before the first."""
        with self._engine.connect() as connection:
            row = connection.execute(select(encoder.c.model_id, encoder.c.dimension)).first()
        return None if row is None else EncoderBinding(row.model_id, row.dimension)

    def bind_encoder(self, binding: EncoderBinding) -> None:
        """Say which encoder makes the vectors of a catalogue that has none yet."""
        with writing(self._engine) as connection:
            connection.execute(
                insert(encoder).values(id=1, model_id=binding.model_id, dimension=binding.dimension)
            )

    def counts(self) -> Counts:
        """Count items, interactions and persons."""
        with self._engine.connect() as connection:

            def count(query: Select[Any]) -> int:
                return int(connection.execute(query).scalar_one())

            return Counts(
                items=count(select(func.count()).select_from(items).where(~items.c.removed)),
                interactions=count(select(func.count()).select_from(interactions)),
                users=count(select(func.count(interactions.c.user_id.distinct()))),
            )
