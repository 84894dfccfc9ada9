"""Which column of a file is what, by the caller's word and by the header."""

from functools import partial

import pytest
from longtail.client.importing.columns import (
    Form,
    choose,
    interaction_columns,
    item_columns,
    require,
)
from longtail.client.importing.rows import FileError

ARTICLE = ("user_id", "item_id", "item_description", "query")
items = partial(
    item_columns, item_id=None, title=None, text=None, prior=None, lists=(), attributes=()
)
interactions = partial(
    interaction_columns,
    user_id=None,
    item_id=None,
    value=None,
    neutral=0.0,
    time=None,
    type_column=None,
    type_name=None,
    query=None,
    event_id=None,
)


def test_columns_are_chosen_by_flag_then_by_name() -> None:
    assert choose(["id", "name"], "name", ("title",), "title") == "name"
    assert choose(["id", "title"], None, ("title",), "title") == "title"
    assert choose(["id"], None, ("title",), "title") is None
    with pytest.raises(FileError, match=r"'nome'.*there are id, name"):
        choose(["id", "name"], "nome", ("title",), "title")
    with pytest.raises(FileError, match="no column for the id"):
        require(["name"], None, ("item_id", "id"), "id")


def test_the_form_of_the_article_is_known_by_its_whole_header() -> None:
    assert items(ARTICLE, Form.AUTO).text == "item_description"
    assert items(ARTICLE, Form.AUTO).ignored == {"user_id", "query"}
    assert items((*ARTICLE, "title"), Form.AUTO).text is None
    assert items((*ARTICLE, "title"), Form.ARTICLE).text == "item_description"
    with pytest.raises(FileError, match="'query' for the article's form"):
        items(ARTICLE[:-1], Form.ARTICLE)


def test_a_column_kept_as_an_attribute_is_no_field_of_the_item() -> None:
    header = ("id", "title", "downloads", "state")

    assert items(header, Form.AUTO).prior == "downloads"
    kept = items(header, Form.AUTO, attributes=("downloads", "state"))
    assert (kept.prior, kept.state) == (None, None)
    with pytest.raises(FileError, match="'price' for the attribute"):
        items(header, Form.AUTO, attributes=("price",))


def test_what_only_the_server_writes_is_left_out_of_an_export_and_of_nothing_else() -> None:
    written = ("create_time", "update_time")

    assert items(("id", "state", *written), Form.AUTO).ignored == set(written)
    assert items(("id", *written), Form.AUTO).ignored == set()


def test_the_type_is_said_by_the_caller_or_by_what_the_file_has() -> None:
    header = ("user_id", "item_id")

    assert interactions(header, Form.AUTO).default_type == "view"
    assert interactions((*header, "rating"), Form.AUTO).default_type == "rating"
    assert interactions(ARTICLE, Form.AUTO).default_type == "query"
    assert interactions(ARTICLE, Form.AUTO).needs_query
    assert interactions(ARTICLE, Form.AUTO, type_name="click").default_type == "click"
