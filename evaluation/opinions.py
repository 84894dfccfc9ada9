"""Who likes and who dislikes what: of a folder, the films of the demo, or a server's store."""

from dataclasses import dataclass
from pathlib import Path

from evaluation.dataset import Dataset, DatasetError, Mask, negatives, positives, read
from evaluation.film_source import holds_films, read_films
from evaluation.store_source import read_store


@dataclass(frozen=True)
class Opinions:
    """A data set, and of each of its rows (m,) whether it is a like, or a dislike."""

    data: Dataset
    likes: Mask
    dislikes: Mask


def read_opinions(source: Path, min_rating: float | None) -> Opinions:
    """Read a folder, or a server's store, in which the sign of a value says what is liked.

    `min_rating`: the least rating of a like in a folder, None: all are likes. Raises DatasetError
    when there is nothing to go by.
    """
    if source.is_dir():
        data = read_films(source) if holds_films(source) else read(source)
        return Opinions(data, positives(data, min_rating), negatives(data, min_rating))
    if not source.exists():
        raise DatasetError(f"{source}: there is no such folder or file")
    data = read_store(source)
    return Opinions(data, data.ratings > 0, data.ratings < 0)
