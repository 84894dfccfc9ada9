"""Which column of a file is what, by the caller's word and by the header."""

from collections.abc import Sequence
from typing import Any

import pytest
from longtail.client.importing.columns import (
    Form,
    InteractionColumns,
    InteractionOptions,
    ItemColumns,
    ItemOptions,
    Scale,
    choose,
    interaction_columns,
    item_columns,
    require,
)
from longtail.client.importing.rows import FileError, Rows, Source

ARTICLE = ("user_id", "item_id", "item_description", "query")


def no_rows() -> Rows:
    yield from ()


def source(header: Sequence[str]) -> Source:
    return Source(tuple(header), no_rows, lambda: 1.0, typed=False)


def items(header: Sequence[str], form: Form = Form.AUTO, **options: Any) -> ItemColumns:  # noqa: ANN401
    return item_columns(source(header), form, ItemOptions(**options))


def interactions(header: Sequence[str], **options: Any) -> InteractionColumns:  # noqa: ANN401
    return interaction_columns(source(header), Form.AUTO, InteractionOptions(**options))


def test_columns_are_chosen_by_flag_then_by_name() -> None:
    assert choose(["id", "name"], "name", ("title",), "--title") == "name"
    assert choose(["id", "title"], None, ("title",), "--title") == "title"
    assert choose(["id"], None, ("title",), "--title") is None
    with pytest.raises(FileError, match=r"'nome'.*there are id, name"):
        choose(["id", "name"], "nome", ("title",), "--title")
    with pytest.raises(
        FileError, match="no column for the id: say which with --id; there are name"
    ):
        require(["name"], None, ("item_id", "id"), "id", "--id")


def test_the_form_of_the_article_is_known_by_its_whole_header() -> None:
    assert items(ARTICLE).text == "item_description"
    assert items(ARTICLE).ignored == {"user_id", "query"}
    assert items((*ARTICLE, "title")).ignored == set()
    assert items((*ARTICLE, "title"), Form.ARTICLE).text == "item_description"
    with pytest.raises(FileError, match="'query' for the article's form"):
        items(ARTICLE[:-1], Form.ARTICLE)


def test_a_column_kept_as_an_attribute_is_no_field_of_the_item() -> None:
    header = ("id", "title", "downloads", "state")

    assert items(header).prior == "downloads"
    kept = items(header, attributes=("downloads", "state"))
    assert (kept.prior, kept.state) == (None, None)
    with pytest.raises(FileError, match="'price' for --attribute"):
        items(header, attributes=("price",))


def test_a_column_of_vectors_is_of_the_space_that_it_is_said_to_be() -> None:
    header = ("id", "clip", "loud")
    found = items(header, named_vectors=(("image", "clip"), ("sound", "loud")))

    assert found.named_vectors == {"image": "clip", "sound": "loud"}
    assert found.attributes(header) == []
    assert found.roles(header, {})["clip"] == "vector of image"
    with pytest.raises(FileError, match="'clop' for --named-vector; there are id, clip, loud"):
        items(header, named_vectors=(("image", "clop"),))
    with pytest.raises(FileError, match="two columns for --named-vector image: clip, loud"):
        items(header, named_vectors=(("image", "clip"), ("image", "loud")))


def test_what_only_the_server_writes_is_left_out_of_an_export_and_of_nothing_else() -> None:
    written = ("create_time", "update_time")

    assert items(("id", "title", "state", *written)).ignored == set(written)
    assert items(("id", "title", *written)).ignored == set()


def test_the_type_is_said_by_the_caller_or_by_what_the_file_has() -> None:
    header = ("user_id", "item_id")

    assert interactions(header).default_type == "view"
    assert interactions((*header, "rating")).default_type == "rating"
    assert interactions(ARTICLE).default_type == "query"
    assert interactions(ARTICLE).needs_query
    assert interactions(ARTICLE, type_name="click").default_type == "click"


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        (("Item_ID", "Name", "Description"), ("Item_ID", "Name", "Description")),
        (("movieId", "title", "genres", "overview"), ("movieId", "title", "overview")),
        (("parent_asin", "asin", "title"), ("asin", "title", None)),
        (("id", "item_id", "text", "name"), ("item_id", "name", "text")),
        (("Handle", "Title", "Body (HTML)", "Vendor"), ("Handle", "Title", "Body (HTML)")),
        (("ISBN", "Book-Title", "Book-Author"), ("ISBN", "Book-Title", None)),
        (("video_id", "caption"), ("video_id", None, "caption")),
    ],
)
def test_names_that_people_give_to_columns_are_known(
    header: Sequence[str], columns: tuple[str | None, ...]
) -> None:
    found = items(header)
    assert (found.item_id, found.title, found.text) == columns


def test_names_that_people_give_to_columns_of_interactions_are_known() -> None:
    found = interactions(("userId", "movieId", "Rating", "unixReviewTime", "event"))

    assert (found.user_id, found.item_id) == ("userId", "movieId")
    assert (found.value, found.time, found.type) == ("Rating", "unixReviewTime", "event")
    found = interactions(("User-ID", "ISBN", "Book-Rating", "reviewTime"))
    assert (found.user_id, found.item_id) == ("User-ID", "ISBN")
    assert (found.value, found.time) == ("Book-Rating", "reviewTime")


def test_a_file_without_persons_may_be_of_one() -> None:
    header = ("Book Id", "Title", "My Rating", "Date Added")
    with pytest.raises(FileError, match="person: say which with --user or --one-user; there are"):
        interactions(header)
    found = interactions(header, one_user="ada")
    assert (found.user_id, found.one_user) == (None, "ada")
    assert (found.item_id, found.value, found.time) == ("Book Id", "My Rating", "Date Added")


def test_items_without_words_or_vectors_are_refused() -> None:
    with pytest.raises(FileError, match="words: say which with --title or --text; there are id"):
        items(("id", "price"))
    assert items(("id", "price"), text="price").text == "price"
    assert items(("id", "price", "vector")).vector == "vector"


@pytest.mark.parametrize(
    ("scale", "value", "scaled"),
    [("1", 7.0, 7.0), ("0.01", 500.0, 5.0), ("log", 1023.0, 10.0), ("log", -7.0, -3.0)],
)
def test_a_scale_brings_values_nearer(scale: str, value: float, scaled: float) -> None:
    assert Scale.parse(scale).of(value) == pytest.approx(scaled)


@pytest.mark.parametrize("scale", ["", "ln", "0", "-1", "nan", "inf"])
def test_a_scale_is_log_or_a_number_above_zero(scale: str) -> None:
    with pytest.raises(ValueError, match=scale or "could not"):
        Scale.parse(scale)
