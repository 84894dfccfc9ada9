"""Reads a folder with a catalogue and what people did with it.

`items.csv` has the columns item_id, title and text, and any others, which are attributes.
`interactions.csv` has user_id and item_id, and may have rating, timestamp and split (train, valid
or test). Where there is none, what `relevance.csv` (query_id, item_id) says of a query stands for
what a person liked, in the order of the file. Any may be compressed (`.csv.gz`). Files are UTF-8.
What cannot be used of them is left out and counted, never guessed.
"""

import csv
import gzip
import io
import zlib
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.fields import number, seconds

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

# A rating of at most this share of the least rating of a like is a dislike; between the two it says
# nothing of taste.
DISLIKE_SHARE = 0.6

# In the order of `evaluation.splits.Part`.
SPLIT_NAMES = ("train", "valid", "test")


class DatasetError(Exception):
    """Data that cannot be evaluated; the message names the file or column and what is wrong."""


class Reason(StrEnum):
    """Why a row was left out."""

    MALFORMED = "malformed row"
    MISSING_ID = "missing id"
    REPEATED_ITEM = "item given before"
    UNKNOWN_ITEM = "unknown item"
    RATING = "unreadable rating"
    TIMESTAMP = "unreadable timestamp"
    SPLIT = "unknown split"
    REPEATED_INTERACTION = "replaced by a later interaction with the same item"


@dataclass(frozen=True)
class Dropped:
    """How many rows of each file were left out, for the first reason that each of them gave."""

    items: Mapping[Reason, int]
    interactions: Mapping[Reason, int]


@dataclass(frozen=True)
class Items:
    """The items of a folder, each once, in the order of the file; `attributes`: further columns."""

    ids: list[str]
    titles: list[str]
    texts: list[str]
    attributes: list[dict[str, str]]
    dropped: Mapping[Reason, int]


@dataclass(frozen=True)
class Dataset:
    """I items and m interactions, at most one for each person and item, in the order of the file.

    `attributes` are the further columns of each item. `users` (m,) and `items` (m,) are positions
    in `user_ids` and `item_ids`. `ratings` (m,) are 1 when there is no such column, `rated` says
    whether there is. `times` (m,) are seconds since 1970, or the row's place in the file when there
    are no timestamps. `split` (m,) are positions in SPLIT_NAMES, None when there is no such column.
    """

    item_ids: list[str]
    titles: list[str]
    texts: list[str]
    attributes: list[dict[str, str]]
    user_ids: list[str]
    users: Ints
    items: Ints
    ratings: Floats
    times: Floats
    split: NDArray[np.int8] | None
    rated: bool
    dropped: Dropped


def read_items(folder: Path) -> Items:
    """Read the items in `folder`; one that is given twice is what it was first.

    Raises DatasetError when the file or a column is missing or nothing is left.
    """
    unused = Counter[Reason]()
    known = set[str]()
    items = Items([], [], [], [], unused)
    with table(folder, "items", ("item_id", "title", "text"), unused) as (_, rows):
        for row in rows:
            item_id = row.pop("item_id").strip()
            if not item_id or item_id in known:
                unused[Reason.REPEATED_ITEM if item_id else Reason.MISSING_ID] += 1
                continue
            known.add(item_id)
            items.ids.append(item_id)
            items.titles.append(row.pop("title"))
            items.texts.append(row.pop("text"))
            items.attributes.append(row)
    if not known:
        raise DatasetError(f"items.csv has no row that can be used{_reasons(unused)}")
    return items


def read(folder: Path) -> Dataset:
    """Read the data in `folder`.

    Of several interactions of one person with one item the latest stays, the later row among those
    of one time. Raises DatasetError when a file or column is missing or nothing is left.
    """
    known, unused = read_items(folder), Counter[Reason]()
    item_ids = {item_id: number for number, item_id in enumerate(known.ids)}
    file, person = "interactions", "user_id"
    if not has_people(folder):
        file, person = "relevance", "query_id"
    with table(folder, file, (person, "item_id"), unused) as (columns, rows):
        events = _events(person, columns, rows, item_ids, unused)
    if not len(events.users):
        raise DatasetError(f"{file}.csv has no row that can be used{_reasons(unused)}")
    kept = _latest(events, len(item_ids))
    unused[Reason.REPEATED_INTERACTION] = len(events.users) - len(kept)
    return Dataset(
        item_ids=known.ids,
        titles=known.titles,
        texts=known.texts,
        attributes=known.attributes,
        user_ids=events.user_ids,
        users=events.users[kept],
        items=events.items[kept],
        ratings=events.ratings[kept],
        times=events.times[kept],
        split=events.split[kept] if "split" in columns else None,
        rated="rating" in columns,
        dropped=Dropped(dict(known.dropped), dict(+unused)),
    )


def positives(dataset: Dataset, min_rating: float | None) -> Mask:
    """Return (m,) which interactions count as liked: those rated `min_rating` or more, or all.

    Raises DatasetError when there are no ratings to go by, or none that high.
    """
    if min_rating is None:
        return np.ones(len(dataset.ratings), np.bool_)
    if not dataset.rated:
        raise DatasetError("a least rating is asked for: interactions.csv has no column rating")
    liked: Mask = dataset.ratings >= min_rating
    if not liked.any():
        raise DatasetError(f"interactions.csv has no rating of {min_rating:g} or more")
    return liked


def negatives(dataset: Dataset, min_rating: float | None) -> Mask:
    """Return (m,) which interactions count as disliked; none where all count as liked."""
    if min_rating is None:
        return np.zeros(len(dataset.ratings), np.bool_)
    liked = dataset.ratings >= min_rating
    disliked: Mask = ~liked & (dataset.ratings <= DISLIKE_SHARE * min_rating)
    return disliked


@dataclass(frozen=True)
class _Events:
    user_ids: list[str]
    users: Ints
    items: Ints
    ratings: Floats
    times: Floats
    split: NDArray[np.int8]


def holds(folder: Path, name: str) -> bool:
    """Return whether a folder holds `name`.csv, compressed or not."""
    return any((folder / f"{name}.csv{ending}").exists() for ending in ("", ".gz"))


def has_people(folder: Path) -> bool:
    """Return whether a folder says what people did, and not queries in their place."""
    return holds(folder, "interactions") or not holds(folder, "relevance")


def _events(
    person: str,
    columns: Sequence[str],
    rows: Iterator[dict[str, str]],
    item_ids: Mapping[str, int],
    unused: Counter[Reason],
) -> _Events:
    """Return the interactions that can be used, repeated ones among them."""
    user_ids: dict[str, int] = {}
    parts = {name: part for part, name in enumerate(SPLIT_NAMES)}
    users, items, split = array("q"), array("q"), array("b")
    ratings, times = array("d"), array("d")
    rated, timed, divided = (name in columns for name in ("rating", "timestamp", "split"))
    for row in rows:
        # What is said not to be relevant is nothing that anybody met with.
        if "grade" in columns and (number(row["grade"]) or 0) <= 0:
            continue
        user_id, item_id = row[person].strip(), row["item_id"].strip()
        item = item_ids.get(item_id)
        rating = number(row["rating"]) if rated else 1.0
        time = seconds(row["timestamp"]) if timed else float(len(times))
        part = parts.get(row["split"].strip().lower()) if divided else 0
        if not user_id or not item_id:
            unused[Reason.MISSING_ID] += 1
        elif item is None:
            unused[Reason.UNKNOWN_ITEM] += 1
        elif rating is None:
            unused[Reason.RATING] += 1
        elif time is None:
            unused[Reason.TIMESTAMP] += 1
        elif part is None:
            unused[Reason.SPLIT] += 1
        else:
            users.append(user_ids.setdefault(user_id, len(user_ids)))
            items.append(item)
            ratings.append(rating)
            times.append(time)
            split.append(part)
    return _Events(
        list(user_ids),
        np.array(users, np.int64),
        np.array(items, np.int64),
        np.array(ratings, np.float64),
        np.array(times, np.float64),
        np.array(split, np.int8),
    )


def _latest(events: _Events, items: int) -> Ints:
    """Return the positions of the latest interaction of each person with each item, ascending."""
    pairs = events.users * items + events.items
    # The sort is stable, so that among equal times the later row comes last.
    order = np.lexsort((events.times, pairs))
    ends = np.append(np.diff(pairs[order]) != 0, True)
    return np.sort(order[ends])


@contextmanager
def table(
    folder: Path, name: str, required: Sequence[str], unused: Counter[Reason]
) -> Iterator[tuple[Sequence[str], Iterator[dict[str, str]]]]:
    """Open `name`.csv or `name`.csv.gz: its columns and its rows by column."""
    plain, compressed = folder / f"{name}.csv", folder / f"{name}.csv.gz"
    path = plain if plain.exists() or not compressed.exists() else compressed
    try:
        with (
            gzip.open(path, "rb") if path == compressed else path.open("rb") as binary,
            io.TextIOWrapper(binary, "utf-8-sig", errors="replace", newline="") as file,
        ):
            lines = csv.reader(file)
            columns = [column.strip() for column in next(lines, [])]
            if missing := [column for column in required if column not in columns]:
                raise DatasetError(f"{path}: there is no column {' and no column '.join(missing)}")
            yield columns, _rows(lines, columns, unused)
    except FileNotFoundError as error:
        raise DatasetError(f"{folder}: there is no {name}.csv or {name}.csv.gz") from error
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        raise DatasetError(f"{path}: {error}") from error


def _rows(
    lines: Iterator[list[str]], columns: Sequence[str], unused: Counter[Reason]
) -> Iterator[dict[str, str]]:
    while True:
        try:
            values = next(lines)
        except StopIteration:
            return
        except csv.Error:
            unused[Reason.MALFORMED] += 1
            continue
        if len(values) == len(columns):
            yield dict(zip(columns, values, strict=True))
        # An empty line is no row.
        elif values:
            unused[Reason.MALFORMED] += 1


def _reasons(unused: Counter[Reason]) -> str:
    counted = ", ".join(f"{count:,} {reason}" for reason, count in unused.most_common())
    return f": {counted}" if counted else ""
