"""The combinations of a store and an engine of the index that the same tests are held to."""

from dataclasses import dataclass

TITLES = {
    "sqlite": "SQLite",
    "postgresql": "PostgreSQL",
    "hnswlib": "hnswlib",
    "pgvector": "pgvector",
    "milvus": "Milvus",
}


# The engine that is no other process.
MEMORY = "hnswlib"


@dataclass(frozen=True)
class Combination:
    """Where records are kept, and what searches the vectors."""

    store: str
    engine: str

    @property
    def name(self) -> str:
        """What names its tests."""
        return f"{self.store}-{self.engine}"

    @property
    def title(self) -> str:
        """What heads its column."""
        return f"{TITLES[self.store]} + {TITLES[self.engine]}"

    @property
    def is_shared(self) -> bool:
        """Whether several servers, each on its own, may follow the store."""
        return self.store != "sqlite"


ALL = (
    Combination("sqlite", MEMORY),
    Combination("postgresql", MEMORY),
    Combination("postgresql", "pgvector"),
    Combination("postgresql", "milvus"),
)
# Milvus takes half a minute to start.
SHORT = ALL[:3]
