"""Which column of a file is what: as the caller says, else by the names that columns have."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from longtail.client.importing.rows import FileError

ARTICLE_COLUMNS = frozenset({"user_id", "item_id", "item_description", "query"})
ID_COLUMNS = ("item_id", "id")
# The last two are what registries of packages call it.
PRIOR_COLUMNS = ("popularity_prior", "popularity", "monthly_downloads", "downloads")
OUTPUT_ONLY = frozenset({"create_time", "update_time"})


class Form(StrEnum):
    """How the columns of a file are understood."""

    AUTO = "auto"
    ARTICLE = "article"


@dataclass(frozen=True)
class ItemColumns:
    """The columns that an item is made from; None where the file has none.

    Every other column becomes an attribute, save those of `ignored`. The attributes of
    `list_columns` are split at "|".
    """

    item_id: str
    title: str | None
    text: str | None
    prior: str | None
    state: str | None = None
    available_from: str | None = None
    available_until: str | None = None
    penalty: str | None = None
    list_columns: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()

    @cached_property
    def fields(self) -> frozenset[str | None]:
        """The columns that are no attribute of their own."""
        return self.ignored | {
            self.item_id,
            self.title,
            self.text,
            self.prior,
            self.state,
            self.available_from,
            self.available_until,
            self.penalty,
        }


@dataclass(frozen=True)
class InteractionColumns:
    """The columns that an interaction is made from; None where the file has none.

    `default_type` is the type where there is no column of types; `neutral` is taken from every
    value, so that what is below it pushes away. `needs_query` drops rows without a query.
    """

    user_id: str
    item_id: str
    default_type: str
    value: str | None
    time: str | None
    type: str | None
    query: str | None
    event_id: str | None
    recommendation_token: str | None = None
    neutral: float = 0.0
    needs_query: bool = False


def item_columns(
    header: Sequence[str],
    form: Form,
    *,
    item_id: str | None,
    title: str | None,
    text: str | None,
    prior: str | None,
    lists: Iterable[str],
    attributes: Iterable[str],
) -> ItemColumns:
    """Return the columns of items in a file with this header; FileError when one is absent.

    `attributes` are no fields of the item whatever their names say; `lists` are split at "|".
    """
    article = _is_article(header, form)
    kept = {require(header, name, (), "attribute") for name in attributes}
    known = [name for name in header if name not in kept]
    return ItemColumns(
        item_id=require(known, item_id, ID_COLUMNS, "id"),
        title=choose(known, title, ("title",), "title"),
        text=choose(known, text, ("item_description",) if article else ("text",), "text"),
        prior=choose(known, prior, PRIOR_COLUMNS, "prior"),
        state=choose(known, None, ("state",), "state"),
        available_from=choose(known, None, ("available_from",), "start"),
        available_until=choose(known, None, ("available_until",), "end"),
        penalty=choose(known, None, ("penalty",), "penalty"),
        list_columns=frozenset(require(header, name, (), "list") for name in lists),
        ignored=_ignored(header, article),
    )


def interaction_columns(
    header: Sequence[str],
    form: Form,
    *,
    user_id: str | None,
    item_id: str | None,
    value: str | None,
    neutral: float,
    time: str | None,
    type_column: str | None,
    type_name: str | None,
    query: str | None,
    event_id: str | None,
) -> InteractionColumns:
    """Return the columns of interactions in a file with this header; FileError when one is absent.

    `type_name` is the type where there is no column of types.
    """
    article = _is_article(header, form)
    values = choose(header, value, ("rating", "value"), "value")
    return InteractionColumns(
        user_id=require(header, user_id, ("user_id",), "person"),
        item_id=require(header, item_id, ID_COLUMNS, "id"),
        default_type=type_name or ("query" if article else "rating" if values else "view"),
        value=values,
        time=choose(header, time, ("timestamp", "time"), "time"),
        type=choose(header, type_column, ("type",), "type"),
        query=choose(header, query, ("query",), "query"),
        event_id=choose(header, event_id, ("event_id",), "event id"),
        recommendation_token=choose(header, None, ("recommendation_token",), "token"),
        neutral=neutral,
        needs_query=article,
    )


def choose(
    columns: Sequence[str], wanted: str | None, defaults: Sequence[str], what: str
) -> str | None:
    """Return the column `wanted`, else the first of `defaults`; FileError if it is absent."""
    if wanted is not None:
        if wanted not in columns:
            raise FileError(f"no column {wanted!r} for the {what}; there are {_listed(columns)}")
        return wanted
    return next((name for name in defaults if name in columns), None)


def require(columns: Sequence[str], wanted: str | None, defaults: Sequence[str], what: str) -> str:
    """Return as `choose` does; FileError when there is no such column at all."""
    column = choose(columns, wanted, defaults, what)
    if column is None:
        raise FileError(f"no column for the {what}; there are {_listed(columns)}")
    return column


def _is_article(header: Sequence[str], form: Form) -> bool:
    if form is Form.ARTICLE:
        for column in sorted(ARTICLE_COLUMNS):
            require(header, column, (), "article's form")
        return True
    return set(header) == ARTICLE_COLUMNS


def _ignored(header: Sequence[str], article: bool) -> frozenset[str]:
    if article:
        return frozenset({"user_id", "query"})
    # An export of ours says what only the server writes.
    return OUTPUT_ONLY if set(header) >= OUTPUT_ONLY | {"id", "state"} else frozenset()


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(columns) or "none"
