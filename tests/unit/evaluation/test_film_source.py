from pathlib import Path

import pytest

from demo import movielens
from evaluation.dataset import DatasetError
from evaluation.film_source import holds_films, read_films


def written(folder: Path) -> Path:
    items = [
        movielens.ITEM_HEADER,
        ("7", "Usual Suspects, The", "1995", "Crime Thriller"),
        ("9", "Alien", "1979", "Sci-Fi"),
    ]
    ratings = [
        movielens.RATING_HEADER,
        ("u", "9", "5", "881250949"),
        ("v", "7", "1", "881250950"),
        ("u", "8", "3", "881250951"),
    ]
    for name, rows in (("ml-100k.item", items), ("ml-100k.inter", ratings)):
        (folder / name).write_text("\n".join("\t".join(row) for row in rows))
    return folder


def test_films_and_ratings_are_those_of_the_demo_in_stars(tmp_path: Path) -> None:
    assert holds_films(written(tmp_path))
    found = read_films(tmp_path)
    assert found.item_ids == ["7", "9"]
    assert found.titles == ["The Usual Suspects (1995)", "Alien (1979)"]
    assert found.texts[1] == "Science fiction."
    # Nobody can be asked about an item that is not in the catalogue.
    assert [found.user_ids[user] for user in found.users] == ["u", "v"]
    assert found.items.tolist() == [1, 0]
    assert found.ratings.tolist() == [5.0, 1.0]
    assert found.times.tolist() == [881250949, 881250950]


def test_items_of_its_own_are_what_a_folder_is_read_for(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "items.csv").write_text("item_id,title,text\n")
    assert not holds_films(tmp_path)


def test_a_file_in_another_form_is_named(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "ml-100k.inter").write_text("user,item\n")
    with pytest.raises(DatasetError, match=r"ml-100k\.inter"):
        read_films(tmp_path)
