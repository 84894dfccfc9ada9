"""The films of the demo as a data set: MovieLens 100K in the form in which the demo fetches it."""

from pathlib import Path

import numpy as np

from demo import movielens
from evaluation.dataset import Dataset, DatasetError, Dropped


def holds_films(folder: Path) -> bool:
    """Return whether a folder holds the demo's films and no items of its own."""
    return (folder / movielens.ITEMS).is_file() and not (folder / "items.csv").exists()


def read_films(folder: Path) -> Dataset:
    """Read films and ratings, in stars, with the texts that the demo gives the server.

    Raises DatasetError when a file is missing or not in the form.
    """
    try:
        films = movielens.read_items(folder / movielens.ITEMS)
        ratings = movielens.read_ratings(folder / movielens.RATINGS)
    except (OSError, ValueError, movielens.FormatError) as error:
        raise DatasetError(str(error)) from error
    number_of = {film.id: at for at, film in enumerate(films)}
    events = [event for event in ratings if event.item_id in number_of]
    person_of = {user: at for at, user in enumerate(dict.fromkeys(e.user_id for e in events))}
    return Dataset(
        item_ids=list(number_of),
        titles=[film.title for film in films],
        texts=[film.text for film in films],
        attributes=[{} for _ in films],
        user_ids=list(person_of),
        users=np.array([person_of[event.user_id] for event in events], np.int64),
        items=np.array([number_of[event.item_id] for event in events], np.int64),
        ratings=np.array([movielens.stars(event.value) for event in events], np.float64),
        times=np.array([event.time.seconds for event in events], np.float64),
        split=None,
        rated=True,
        dropped=Dropped({}, {}),
    )
