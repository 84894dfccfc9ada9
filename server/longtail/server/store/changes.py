"""What a view reads to follow the store: the rows that changed above the revision it holds."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import Any

from longtail.server.store.decay import DecayedSum
from longtail.server.store.decisions import LATEST
from longtail.server.store.impressions import EXPOSURE
from longtail.server.store.json_object import decode_object
from longtail.server.store.popularity import decay_of
from longtail.server.store.records import (
    NO_VECTORS,
    DecisionKind,
    ExposureChange,
    ItemChange,
    PopularityChange,
    PopularityDecay,
    Position,
    Ruling,
    Rulings,
    RulingsChange,
    State,
    TypeCount,
    Vector,
    VectorSpace,
    decode_vector,
)
from longtail.server.store.schema import (
    Role,
    decisions,
    encoders,
    exposure,
    extra_vectors,
    items,
    popularity,
    sequence,
    vectors,
)
from longtail.server.store.spaces import declared_spaces, extra_vectors_of
from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, and_, bindparam, select

# Rows that are read at a time.
CHUNK = 1000

_STATES = {state.value: state for state in State}

_ITEM = (
    items.c.id,
    items.c.revision,
    items.c.removed,
    items.c.title,
    items.c.prior,
    items.c.state,
    items.c.available_from,
    items.c.available_until,
    items.c.attributes,
    items.c.penalty,
    items.c.content_revision,
    items.c.text,
)

_POPULARITY = (
    popularity.c.item_id,
    popularity.c.type,
    popularity.c.interactions,
    popularity.c.mass,
    popularity.c.time,
)
# Made once: it is asked after every write.
_POPULARITY_CHANGES = (
    select(*_POPULARITY)
    .where(
        popularity.c.item_id.in_(
            select(popularity.c.item_id).where(
                popularity.c.revision > bindparam("after"),
                popularity.c.revision <= bindparam("until"),
            )
        )
    )
    .order_by(popularity.c.item_id)
)

# Made once for the same reason.
_RULINGS = (
    select(
        decisions.c.item_id,
        decisions.c.revision,
        decisions.c.kind,
        decisions.c.penalty,
        decisions.c.expire_time,
    )
    .where(
        LATEST,
        decisions.c.item_id.in_(
            select(decisions.c.item_id).where(
                decisions.c.revision > bindparam("after"),
                decisions.c.revision <= bindparam("until"),
            )
        ),
    )
    .order_by(decisions.c.item_id)
)


class ChangeLog:
    """The changes of the catalogue in the order of their revisions."""

    def __init__(self, engine: Engine, single: Engine) -> None:
        self._engine = engine
        # What is asked after every write is asked by one statement each.
        self._single = single

    def identity(self) -> str:
        """Return what tells this store's revisions from those of any other."""
        with self._single.connect() as connection:
            return str(connection.execute(select(sequence.c.identity)).scalar_one())

    def position(self) -> Position:
        """Return how far the store has come."""
        current = select(encoders.c.id).where(encoders.c.role == Role.CURRENT).scalar_subquery()
        with self._single.connect() as connection:
            row = connection.execute(select(sequence.c.revision, current)).one()
        return Position(*row)

    def current(self) -> Iterator[ItemChange]:
        """Yield all items that exist, in the order of their revisions, without vectors.

        It is one consistent read, and while it lasts SQLite's log is not trimmed: read on.
        """
        query = select(*_ITEM).where(~items.c.removed).order_by(items.c.revision)
        with self._engine.connect() as connection:
            for row in connection.execution_options(yield_per=CHUNK).execute(query):
                yield _change(row, None)

    def vectors(self, encoder_id: int, ids: Collection[str]) -> dict[str, Vector]:
        """Return an encoder's vectors (d,) of those of `ids` that it has one of."""
        query = select(vectors.c.item_id, vectors.c.data).where(vectors.c.encoder_id == encoder_id)
        return self._vectors(query, vectors.c.item_id, ids)

    def vector_spaces(self) -> tuple[VectorSpace, ...]:
        """Return the spaces beside the encoder's that there are, in the order of their names."""
        with self._single.connect() as connection:
            return declared_spaces(connection)

    def vectors_in(self, space_id: int, ids: Collection[str]) -> dict[str, Vector]:
        """Return the vectors (d,) in a space of those of `ids` that have one in it."""
        of_space = extra_vectors.c.space_id == space_id
        query = select(extra_vectors.c.item_id, extra_vectors.c.data).where(of_space)
        return self._vectors(query, extra_vectors.c.item_id, ids)

    def extra_vectors(self, ids: Collection[str]) -> dict[str, dict[VectorSpace, Vector]]:
        """Return the vectors (d,) of items in the spaces that there are, by item and space."""
        with self._engine.connect() as connection:
            return extra_vectors_of(connection, ids)

    def item_changes(self, after: int, until: int, encoder_id: int) -> Iterator[ItemChange]:
        """Yield the items whose current version lies in the revisions after .. until, in order.

        They come with the encoder's vectors and those in other spaces. What is replaced while this
        is read goes beyond `until`, and is left out.
        """
        query = (
            _with_vectors(encoder_id)
            .where(items.c.revision <= until)
            .order_by(items.c.revision)
            .limit(CHUNK)
        )
        # A reader that stays open keeps SQLite from trimming its log: each chunk has its own.
        while True:
            with self._engine.connect() as connection:
                rows = connection.execute(query.where(items.c.revision > after)).all()
                found = _with_extra_vectors(connection, rows)
            yield from found
            if len(rows) < CHUNK:
                return
            after = rows[-1].revision

    def versions(self, ids: Collection[str], encoder_id: int) -> Iterator[ItemChange]:
        """Yield the current versions of those of `ids` that exist, with all their vectors."""
        query = _with_vectors(encoder_id).where(~items.c.removed)
        waiting = iter(ids)
        while chunk := list(islice(waiting, CHUNK)):
            with self._engine.connect() as connection:
                rows = connection.execute(query.where(items.c.id.in_(chunk))).all()
                found = _with_extra_vectors(connection, rows)
            yield from found

    def popularity_decay(self) -> PopularityDecay:
        """Return how the sums of interactions decay."""
        with self._single.connect() as connection:
            return decay_of(connection)

    def popularity_changes(self, after: int, until: int) -> Iterator[PopularityChange]:
        """Yield the items whose interactions were last counted in the revisions after .. until."""
        span = {"after": after, "until": until}
        with self._single.connect() as connection:
            found = connection.execute(_POPULARITY_CHANGES, span)
            for item_id, rows in groupby(found, lambda row: row[0]):
                yield PopularityChange(item_id, [_type_count(row) for row in rows])

    def popularity_of(self, item_id: str) -> tuple[PopularityDecay, list[TypeCount]]:
        """Return how popularity decays, and the types of interactions that an item has."""
        query = (
            select(*_POPULARITY)
            .where(popularity.c.item_id == item_id, popularity.c.interactions > 0)
            .order_by(popularity.c.type)
        )
        with self._engine.connect() as connection:
            return decay_of(connection), [_type_count(row) for row in connection.execute(query)]

    def exposure_changes(self, after: int, until: int) -> Iterator[ExposureChange]:
        """Yield the items whose impressions were last counted in the revisions after .. until."""
        query = (
            select(exposure)
            .where(exposure.c.revision > after, exposure.c.revision <= until)
            .order_by(exposure.c.revision)
        )
        with self._engine.connect() as connection:
            half_life = EXPOSURE.half_life(connection)
            for row in connection.execute(query):
                yield ExposureChange(row.item_id, DecayedSum(row.mass, row.time), half_life)

    def rulings_changes(self, after: int, until: int) -> Iterator[RulingsChange]:
        """Yield the items that were last decided about in the revisions after .. until."""
        span = {"after": after, "until": until}
        with self._single.connect() as connection:
            found = connection.execute(_RULINGS, span)
            for item_id, rows in groupby(found, lambda row: row[0]):
                yield RulingsChange(item_id, _rulings(rows))

    def _vectors(
        self, query: Select[Any], item_id: ColumnElement[str], ids: Collection[str]
    ) -> dict[str, Vector]:
        found: dict[str, Vector] = {}
        waiting = iter(ids)
        while chunk := list(islice(waiting, CHUNK)):
            with self._single.connect() as connection:
                rows = connection.execute(query.where(item_id.in_(chunk)))
                found.update((row.item_id, decode_vector(row.data)) for row in rows)
        return found


def _with_vectors(encoder_id: int) -> Select[Any]:
    theirs = and_(vectors.c.encoder_id == encoder_id, vectors.c.item_id == items.c.id)
    return select(*_ITEM, vectors.c.data).outerjoin(vectors, theirs)


def _with_extra_vectors(connection: Connection, rows: Sequence[Row[Any]]) -> list[ItemChange]:
    extra = extra_vectors_of(connection, [row.id for row in rows if not row.removed])
    return [
        _change(
            row,
            None if row.data is None else decode_vector(row.data),
            {space.name: vector for space, vector in extra[row.id].items()}
            if row.id in extra
            else NO_VECTORS,
        )
        for row in rows
    ]


def _change(
    row: Sequence[Any], vector: Vector | None, extra: Mapping[str, Vector] = NO_VECTORS
) -> ItemChange:
    item_id, revision, removed, title, prior, state, opening, end, attributes, *rest = row[:12]
    penalty, content_revision, text = rest
    return ItemChange(
        item_id,
        revision,
        removed,
        title,
        prior,
        _STATES[state],
        opening,
        end,
        decode_object(attributes),
        vector,
        penalty,
        content_revision,
        text,
        extra,
    )


def _rulings(latest: Iterable[Sequence[Any]]) -> Rulings:
    rulings = Rulings(None)
    for _, revision, kind, penalty, expire_time in latest:
        ruling = Ruling(revision, DecisionKind(kind), penalty)
        if expire_time is None:
            rulings = rulings._replace(standing=ruling)
        else:
            rulings = rulings._replace(temporary=ruling, term=expire_time)
    return rulings


def _type_count(row: Sequence[Any]) -> TypeCount:
    _, kind, interactions, mass, time = row
    return TypeCount(kind, interactions, DecayedSum(mass, time))
