"""Turn the MovieLens 100k files, in RecBole's tab-separated form, into items and interactions.

Titles are put back into reading order and genres into words, because the encoder was trained on
sentences, not on catalogue cards.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from google.protobuf.timestamp_pb2 import Timestamp
from longtail.v1.interaction_service_pb2 import Interaction
from longtail.v1.item_pb2 import Item

DATASET = "ml-100k"
ITEMS, RATINGS = f"{DATASET}.item", f"{DATASET}.inter"

ITEM_HEADER = ("item_id:token", "movie_title:token_seq", "release_year:token", "class:token_seq")
RATING_HEADER = ("user_id:token", "item_id:token", "rating:float", "timestamp:float")

# The title of the item that stands for a film nobody could name; the misspelling is the file's.
_PLACEHOLDER = "unkonwn"
# "Usual Suspects, The", also inside brackets: "(Hussard sur le toit, Le)".
_TRAILING_ARTICLE = re.compile(
    r"([^()\s][^()]*), (The|An?|Das|Der|Det|Die|El|Il|L'|La|Le|Les|Los|O)(?=\s*(?:[()]|$))"
)
# One row has its year in the title and something else in the year's place.
_YEAR_IN_TITLE = re.compile(r"(.*) \((\d{4})\)")
_IN_WORDS = {"Sci-Fi": "science fiction", "Film-Noir": "film noir"}

# Of the five ratings, 1 and 2 push away and 3 to 5 draw.
_NEUTRAL_RATING = 2.5

Row = tuple[str, ...]


class FormatError(Exception):
    """A file is not in the expected form; the message names the file and the line."""


def read_items(path: Path) -> list[Item]:
    """Read `ml-100k.item`, without its one placeholder. Raises FormatError."""
    return [_item(row) for row in _rows(path, ITEM_HEADER) if row[1] != _PLACEHOLDER]


def read_ratings(path: Path) -> list[Interaction]:
    """Read `ml-100k.inter`. Raises FormatError."""
    return [_interaction(row) for row in _rows(path, RATING_HEADER)]


def stars(value: float) -> float:
    """Return the rating, 1 to 5, that became the value of an interaction."""
    return _NEUTRAL_RATING + _NEUTRAL_RATING * value


def _rows(path: Path, header: Row) -> Sequence[Row]:
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [tuple(line.split("\t")) for line in lines]
    if not rows or rows[0] != header:
        raise FormatError(f"{path}: line 1 is not the header {' '.join(header)}")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise FormatError(f"{path}: line {number} has {len(row)} fields, not {len(header)}")
    return rows[1:]


def _item(row: Row) -> Item:
    item_id, title, year, classes = row
    if match := _YEAR_IN_TITLE.fullmatch(title):
        title, year = match.groups()
    genres = [genre for genre in classes.split() if genre != "unknown"]
    item = Item(id=item_id, title=f"{_reading_order(title)} ({year})", text=_sentence(genres))
    item.attributes.update({"year": int(year), "genres": genres})
    return item


def _interaction(row: Row) -> Interaction:
    user_id, item_id, rating, timestamp = row
    return Interaction(
        event_id=f"{DATASET}:{user_id}:{item_id}",
        user_id=user_id,
        item_id=item_id,
        type="rating",
        value=(float(rating) - _NEUTRAL_RATING) / _NEUTRAL_RATING,
        time=Timestamp(seconds=int(float(timestamp))),
    )


def _reading_order(title: str) -> str:
    def turned(match: re.Match[str]) -> str:
        rest, article = match.groups()
        return f"{article}{rest}" if article.endswith("'") else f"{article} {rest}"

    return _TRAILING_ARTICLE.sub(turned, title)


def _sentence(genres: Sequence[str]) -> str:
    words = ", ".join(_IN_WORDS.get(genre, genre.lower()) for genre in genres)
    return f"{words[:1].upper()}{words[1:]}." if words else ""
