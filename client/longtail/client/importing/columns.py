"""Which column of a file is what: as the caller says, else by the names that columns have."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property, partial

from longtail.client.importing.rows import FileError, Source
from longtail.client.importing.survey import Column, Kind, of_numbers

ARTICLE_COLUMNS = frozenset({"user_id", "item_id", "item_description", "query"})
# Names are compared without case and by their letters and digits alone: Item_ID is item_id, and
# Body (HTML) body_html. Of those that a file has the first counts.
ID_COLUMNS = (
    "item_id", "id", "movie_id", "product_id", "book_id", "track_id", "song_id", "article_id",
    "news_id", "video_id", "game_id", "app_id", "business_id", "asin", "parent_asin", "sku",
    "artist_id", "album_id", "show_id", "anime_id", "recipe_id", "listing_id", "course_id",
    "job_id", "place_id", "stock_code", "isbn", "imdb_id", "tconst", "const", "item",
    "handle",
)  # fmt: skip
TITLE_COLUMNS = (
    "title", "name", "product_title", "item_title", "product_name", "item_name", "book_title",
    "movie_title", "track_name", "song_title", "primary_title", "headline",
)  # fmt: skip
TEXT_COLUMNS = (
    "text", "description", "item_description", "product_description", "overview", "plot",
    "summary", "abstract", "synopsis", "body", "body_html", "content", "about", "about_the_game",
    "storyline", "caption", "short_description",
)  # fmt: skip
# The last two are what registries of packages call it.
PRIOR_COLUMNS = ("popularity_prior", "popularity", "monthly_downloads", "downloads")
USER_COLUMNS = (
    "user_id", "customer_id", "reviewer_id", "visitor_id", "person_id", "member_id", "client_id",
    "account_id", "session_id", "uid", "user", "username",
)  # fmt: skip
VALUE_COLUMNS = (
    "rating", "value", "overall", "stars", "score", "user_rating", "my_rating", "your_rating",
    "book_rating", "weight", "plays", "play_count", "listen_count", "watch_ratio",
)  # fmt: skip
TIME_COLUMNS = (
    "timestamp", "time", "event_time", "unix_review_time", "datetime", "date", "created_at",
    "review_time", "review_date", "invoice_date", "order_date", "purchase_date", "date_rated",
    "date_added",
)  # fmt: skip
TYPE_COLUMNS = ("type", "event_type", "event", "action")
QUERY_COLUMNS, EVENT_COLUMNS = ("query", "search_query"), ("event_id",)
VECTOR_COLUMNS = ("vector",)
_DIVIDES = re.compile(r"[\W_]+")
# What an export has of every item, and what only the server writes.
EXPORTED = frozenset({"id", "title", "text", "popularity_prior", "state", "penalty"})
# Of an export too, where an item has them, which need be none of the first ones.
SOMETIMES_EXPORTED = ("available_from", "available_until", "vector", "extra_vectors")
OUTPUT_ONLY = frozenset({"create_time", "update_time"})


class Form(StrEnum):
    """How the columns of a file are understood."""

    AUTO = "auto"
    ARTICLE = "article"


@dataclass(frozen=True)
class Scale:
    """What a value is brought to: multiplied by `factor`, or, with 0, log2(1 + value).

    A value below zero stays below it.
    """

    factor: float = 1.0

    @classmethod
    def parse(cls, text: str) -> "Scale":
        """Return the scale that `log` or a number stands for; ValueError of any other text."""
        if text == "log":
            return cls(0.0)
        factor = float(text)
        if not math.isfinite(factor) or factor <= 0:
            raise ValueError(f"{text} is not above zero")
        return cls(factor)

    def of(self, value: float) -> float:
        """Return a value on the scale."""
        if self.factor:
            return value * self.factor
        return math.copysign(math.log2(1 + abs(value)), value)


@dataclass(frozen=True)
class ItemColumns:
    """The columns that an item is made from; None where the file has none.

    Every other column becomes an attribute, save those of `ignored`: a list, a text or a number
    where `list_columns`, `text_columns` or `number_columns` say so. What the file itself calls a
    list, `split_columns`, is divided by blanks. `named_vectors` are the columns of vectors by their
    vector spaces; in `extra_vectors` they are as an export writes them. The ids and texts of a file
    that was `exported` by us are taken as they stand.
    """

    item_id: str
    title: str | None
    text: str | None
    prior: str | None
    state: str | None = None
    available_from: str | None = None
    available_until: str | None = None
    penalty: str | None = None
    vector: str | None = None
    extra_vectors: str | None = None
    named_vectors: Mapping[str, str] = field(default_factory=dict[str, str])
    list_columns: frozenset[str] = frozenset()
    text_columns: frozenset[str] = frozenset()
    number_columns: frozenset[str] = frozenset()
    split_columns: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()
    exported: bool = False
    numbered: frozenset[str] = frozenset()

    @property
    def has_content(self) -> bool:
        """Whether there is a column of words or of vectors, without which no row is of use."""
        vectors = self.vector or self.extra_vectors or self.named_vectors
        return bool(self.title or self.text or vectors)

    @property
    def more_fields(self) -> bool:
        """Whether there are columns of an item's state, its times and its penalty."""
        return bool(self.state or self.available_from or self.available_until or self.penalty)

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
            self.vector,
            self.extra_vectors,
            *self.named_vectors.values(),
        }

    def attributes(self, header: Sequence[str]) -> list[str]:
        """Return the columns of `header` that become attributes."""
        return [name for name in header if name not in self.fields]

    def roles(self, header: Sequence[str], surveyed: Mapping[str, Column]) -> dict[str, str]:
        """Return what each column is read as, by name, for people; `surveyed`: what was seen."""
        roles = {
            name: f"attribute, {self._kind(name, surveyed.get(name))}"
            for name in self.attributes(header)
        }
        fields = {
            self.item_id: "id",
            self.title: "title",
            self.text: "text",
            self.prior: "popularity_prior",
            self.state: "state",
            self.available_from: "available_from",
            self.available_until: "available_until",
            self.penalty: "penalty",
            self.vector: "vector",
            self.extra_vectors: "extra_vectors",
        }
        fields.update((column, f"vector of {name}") for name, column in self.named_vectors.items())
        return roles | {name: fields[name] for name in header if name in fields}

    def _kind(self, name: str, column: Column | None) -> str:
        for names, kind in (
            (self.list_columns, "list"),
            (self.split_columns, "list divided by blanks"),
            (self.number_columns, Kind.NUMBER.value),
            (self.text_columns, Kind.TEXT.value),
        ):
            if name in names:
                return kind
        if column is None:
            return "as the file has it"
        if column.against is None:
            return column.kind.value
        line, value = column.against
        return f"{column.kind.value}, as {value!r} in line {line} is no number"


@dataclass(frozen=True)
class InteractionColumns:
    """The columns that an interaction is made from; None where the file has none.

    `default_type` is the type where there is no column of types; `neutral` is taken from every
    value, so that what is below it pushes away, and what is left is brought to `scale`.
    `needs_query` drops rows without a query. All rows are of `one_user` where it is not empty. The
    ids in columns that are `numbered` are numbers.
    """

    user_id: str | None
    item_id: str
    default_type: str
    value: str | None
    time: str | None
    type: str | None
    query: str | None
    event_id: str | None
    recommendation_token: str | None = None
    neutral: float = 0.0
    scale: Scale = Scale()
    needs_query: bool = False
    one_user: str = ""
    numbered: frozenset[str] = frozenset()

    def roles(self) -> dict[str, str]:
        """Return what each column is read as, by name, for people."""
        fields = {
            self.user_id: "user_id",
            self.item_id: "item_id",
            self.value: "value",
            self.time: "time",
            self.type: "type",
            self.query: "query",
            self.event_id: "event_id",
            self.recommendation_token: "recommendation_token",
        }
        return {name: role for name, role in fields.items() if name is not None}


@dataclass(frozen=True)
class ItemOptions:
    """What the caller says of the columns of items; None: what their names say."""

    item_id: str | None = None
    title: str | None = None
    text: str | None = None
    prior: str | None = None
    vector: str | None = None
    named_vectors: Sequence[tuple[str, str]] = ()
    lists: Sequence[str] = ()
    texts: Sequence[str] = ()
    numbers: Sequence[str] = ()
    attributes: Sequence[str] = ()
    ignored: Sequence[str] = ()


@dataclass(frozen=True)
class InteractionOptions:
    """What the caller says of the columns of interactions; None: what their names say."""

    user_id: str | None = None
    one_user: str = ""
    item_id: str | None = None
    value: str | None = None
    neutral: float = 0.0
    scale: Scale = Scale()
    time: str | None = None
    type_column: str | None = None
    type_name: str | None = None
    query: str | None = None
    event_id: str | None = None


def item_columns(source: Source, form: Form, options: ItemOptions) -> ItemColumns:
    """Return the columns of items in a file; FileError when one is absent.

    `options.attributes` are no fields of the item whatever their names say.
    """
    header = source.columns
    article = _is_article(header, form)
    named = partial(_require_all, header)
    attributes = named(options.attributes, "--attribute")
    exported = (
        source.typed
        and (options.item_id, options.title, options.text) == (None, None, None)
        and set(header) >= EXPORTED
    )
    there = dict.fromkeys((*header, *(SOMETIMES_EXPORTED if exported else ())))
    known = [name for name in there if name not in attributes]
    chosen = partial(choose, known)
    item_id = require(known, options.item_id, ID_COLUMNS, "id", "--id")
    columns = ItemColumns(
        item_id=item_id,
        title=chosen(options.title, TITLE_COLUMNS, "--title"),
        text=chosen(options.text, ("item_description",) if article else TEXT_COLUMNS, "--text"),
        prior=chosen(options.prior, PRIOR_COLUMNS, "--prior"),
        state=chosen(None, ("state",), ""),
        available_from=chosen(None, ("available_from",), ""),
        available_until=chosen(None, ("available_until",), ""),
        penalty=chosen(None, ("penalty",), ""),
        vector=chosen(options.vector, VECTOR_COLUMNS, "--vector"),
        extra_vectors=chosen(None, ("extra_vectors",), ""),
        named_vectors=_named_vectors(known, options.named_vectors),
        list_columns=named(options.lists, "--list-column"),
        text_columns=named(options.texts, "--text-column") | source.texts,
        number_columns=named(options.numbers, "--number-column"),
        split_columns=source.split,
        ignored=_ignored(header, article) | named(options.ignored, "--ignore"),
        exported=exported,
        numbered=of_numbers(source, [item_id]),
    )
    if not columns.has_content:
        require(known, None, (), "words", "--title or --text")
    return columns


def interaction_columns(
    source: Source, form: Form, options: InteractionOptions
) -> InteractionColumns:
    """Return the columns of interactions in a file; FileError when one is absent."""
    header = source.columns
    article = _is_article(header, form)
    chosen = partial(choose, header)
    values = chosen(options.value, VALUE_COLUMNS, "--value")
    default_type = "query" if article else "rating" if values else "view"
    user_id = None
    if not options.one_user:
        user_id = require(header, options.user_id, USER_COLUMNS, "person", "--user or --one-user")
    item_id = require(header, options.item_id, ID_COLUMNS, "id", "--id")
    return InteractionColumns(
        user_id=user_id,
        item_id=item_id,
        default_type=options.type_name or default_type,
        value=values,
        time=chosen(options.time, TIME_COLUMNS, "--time"),
        type=None if options.type_name else chosen(options.type_column, TYPE_COLUMNS, ""),
        query=chosen(options.query, QUERY_COLUMNS, "--query"),
        event_id=chosen(options.event_id, EVENT_COLUMNS, "--event-id"),
        recommendation_token=chosen(None, ("recommendation_token",), ""),
        neutral=options.neutral,
        scale=options.scale,
        needs_query=article,
        one_user=options.one_user,
        numbered=of_numbers(source, [user_id, item_id]),
    )


def choose(
    columns: Sequence[str], wanted: str | None, defaults: Sequence[str], option: str
) -> str | None:
    """Return the column `wanted`, else the first of `defaults`; FileError if it is absent."""
    if wanted is not None:
        if wanted not in columns:
            raise FileError(f"no column {wanted!r} for {option}; there are {_listed(columns)}")
        return wanted
    plain = {_plain(name): name for name in reversed(columns)}
    return next((plain[_plain(name)] for name in defaults if _plain(name) in plain), None)


def require(
    columns: Sequence[str], wanted: str | None, defaults: Sequence[str], what: str, option: str
) -> str:
    """Return as `choose` does; FileError when there is no such column at all."""
    column = choose(columns, wanted, defaults, option)
    if column is None:
        raise FileError(
            f"no column for the {what}: say which with {option}; there are {_listed(columns)}. "
            "Where a file has no header, --columns says their names"
        )
    return column


def _named_vectors(header: Sequence[str], named: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return the column of each vector space; FileError when one is absent or comes twice."""
    columns: dict[str, str] = {}
    for name, column in named:
        if name in columns:
            raise FileError(f"two columns for --named-vector {name}: {columns[name]}, {column}")
        columns[name] = require(header, column, (), "vector", "--named-vector")
    return columns


def _require_all(header: Sequence[str], names: Sequence[str], option: str) -> frozenset[str]:
    return frozenset(require(header, name, (), "option", option) for name in names)


def _plain(name: str) -> str:
    return _DIVIDES.sub("", name).lower()


def _is_article(header: Sequence[str], form: Form) -> bool:
    if form is Form.ARTICLE:
        for column in sorted(ARTICLE_COLUMNS):
            choose(header, column, (), "the article's form")
        return True
    return set(header) == ARTICLE_COLUMNS


def _ignored(header: Sequence[str], article: bool) -> frozenset[str]:
    if article:
        return frozenset({"user_id", "query"})
    # Items as the server tells them say what only it writes.
    return OUTPUT_ONLY if set(header) >= OUTPUT_ONLY | {"id", "state"} else frozenset()


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(columns) or "none"
