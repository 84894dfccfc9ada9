from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToDict

from demo.movielens import FormatError, read_items, read_ratings

ITEM_HEADER = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq"
RATING_HEADER = "user_id:token\titem_id:token\trating:float\ttimestamp:float"


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("row", "title", "text"),
    [
        ("7\tNight Train\t1959\tDrama", "Night Train (1959)", "Drama."),
        ("7\tLong Way, The\t1990\tWar Drama", "The Long Way (1990)", "War, drama."),
        ("7\tDay Out, A\t1990\tComedy", "A Day Out (1990)", "Comedy."),
        ("7\tHiver, L'\t1990\tDrama", "L'Hiver (1990)", "Drama."),
        (
            "7\tSlow Boat, The (Lent bateau, Le)\t1990\tSci-Fi Film-Noir",
            "The Slow Boat (Le Lent bateau) (1990)",
            "Science fiction, film noir.",
        ),
        (
            "7\tBig, The Small and The Odd, The\t1990\tWestern",
            "The Big, The Small and The Odd (1990)",
            "Western.",
        ),
        ("7\tParis, Ohio\t1990\tChildren's", "Paris, Ohio (1990)", "Children's."),
        ("7\tSequel II (1995)\tV\tHorror", "Sequel II (1995)", "Horror."),
        ("7\tNobody Knows\t1990\tunknown", "Nobody Knows (1990)", ""),
    ],
)
def test_title_and_text_read_as_words(tmp_path: Path, row: str, title: str, text: str) -> None:
    (item,) = read_items(write(tmp_path / "items", ITEM_HEADER, row))
    assert (item.id, item.title, item.text) == ("7", title, text)


def test_year_and_genres_stay_attributes(tmp_path: Path) -> None:
    path = write(tmp_path / "items", ITEM_HEADER, "7\tNight Train\t1959\tSci-Fi Drama")
    (item,) = read_items(path)
    assert MessageToDict(item.attributes) == {"year": 1959, "genres": ["Sci-Fi", "Drama"]}


def test_placeholder_film_is_left_out(tmp_path: Path) -> None:
    rows = ("1\tunkonwn\tunkonwn\tunknown", "2\tNight Train\t1959\tDrama")
    assert [item.id for item in read_items(write(tmp_path / "items", ITEM_HEADER, *rows))] == ["2"]


def test_ratings_draw_and_push_away(tmp_path: Path) -> None:
    rows = [f"9\t{item}\t{rating}\t880000000" for item, rating in enumerate((1, 2, 3, 4, 5))]
    ratings = read_ratings(write(tmp_path / "ratings", RATING_HEADER, *rows))
    assert [rating.value for rating in ratings] == pytest.approx([-0.6, -0.2, 0.2, 0.6, 1.0])
    last = ratings[-1]
    assert (last.event_id, last.user_id, last.item_id) == ("ml-100k:9:4", "9", "4")
    assert (last.type, last.time.seconds) == ("rating", 880000000)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "line 1 is not the header"),
        (["user_id:token\titem_id:token"], "line 1 is not the header"),
        ([RATING_HEADER, "9\t1\t5\t880000000", "9\t1\t5"], "line 3 has 3 fields, not 4"),
    ],
)
def test_another_format_is_refused(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read_ratings(write(tmp_path / "ratings", *lines))
