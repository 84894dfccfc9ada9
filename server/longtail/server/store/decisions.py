"""Decisions of review: who decided what about which item, why, and what counts of it now."""

from collections.abc import Collection
from typing import Any

from longtail.server.store.clock import now
from longtail.server.store.records import (
    Decision,
    DecisionKind,
    NewDecision,
)
from longtail.server.store.revisions import current_revision, take_revisions
from longtail.server.store.schema import decisions, items
from longtail.server.store.transaction import Transaction
from sqlalchemy import (
    ColumnElement,
    Engine,
    Row,
    Select,
    and_,
    exists,
    func,
    literal_column,
    or_,
    select,
    true,
    union_all,
    update,
)

# These release an item that was written as in review.
RELEASING = (DecisionKind.APPROVE, DecisionKind.PENALISE)
# Not as a parameter, so that the database sees that the partial index is meant.
LATEST = decisions.c.latest == true()
# As with LATEST, for the partial index.
_WRITTEN_IN_REVIEW = items.c.state == literal_column("3")


class DecisionRecords:
    """The decisions, and what awaits one. Writes run in the caller's transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def decide(
        self, tx: Transaction, new: NewDecision, ids: Collection[str]
    ) -> tuple[frozenset[str], int]:
        """Decide about items; return those of `ids` that are known, and the revision.

        A decision with an `expire_time` ends the one that has it too, one without ends both. The
        others, of which there is neither an item nor a decision, are left, but for BLOCK.
        """
        known = list(ids) if new.kind is DecisionKind.BLOCK else _known(tx, ids)
        if not known:
            return frozenset(), current_revision(tx)
        ended = [LATEST, decisions.c.item_id.in_(known)]
        if new.expire_time is not None:
            ended.append(decisions.c.expire_time.is_not(None))
        tx.execute(update(decisions).where(*ended).values(latest=False))
        moment, last = now(), take_revisions(tx, len(known))
        tx.execute(
            decisions.insert(),
            [
                vars(new)
                | {"revision": revision, "item_id": item_id, "time": moment, "latest": True}
                for revision, item_id in enumerate(known, start=last - len(known) + 1)
            ],
        )
        return frozenset(known), last

    def get(self, revisions: Collection[int]) -> dict[int, Decision]:
        """Return those of the decisions of `revisions` that there are, by revision."""
        query = _decisions(now()).where(decisions.c.revision.in_(revisions))
        with self._engine.connect() as connection:
            return {row.revision: _decision(row) for row in connection.execute(query)}

    def list_page(
        self,
        *,
        item_id: str,
        kind: DecisionKind | None,
        in_force: bool,
        before: int | None,
        limit: int,
    ) -> list[Decision]:
        """Return the last `limit` decisions of before a revision, the latest first.

        Of one item, or of all where that is empty; of one kind, or of all; those that count now, or
        all.
        """
        moment = now()
        query = _decisions(moment).order_by(decisions.c.revision.desc()).limit(limit)
        if item_id:
            query = query.where(decisions.c.item_id == item_id)
        if kind is not None:
            query = query.where(decisions.c.kind == kind)
        if in_force:
            query = query.where(_in_force(moment))
        if before is not None:
            query = query.where(decisions.c.revision < before)
        with self._engine.connect() as connection:
            return [_decision(row) for row in connection.execute(query)]

    def queue(self, *, after: int, limit: int) -> list[tuple[int, str]]:
        """Return the first `limit` items after a place that await review, by their places.

        A place is the revision at which the wait began: that of the decision that submitted the
        item, or of the item as it was written.
        """
        moment = now()
        temporary, standing = decisions.alias(), decisions.alias()
        kind = func.coalesce(temporary.c.kind, standing.c.kind)
        decided = func.coalesce(temporary.c.revision, standing.c.revision)
        written = (
            select(items.c.content_revision.label("place"), items.c.id.label("item_id"))
            .select_from(items)
            .outerjoin(temporary, _of_item(temporary) & (temporary.c.expire_time > moment))
            .outerjoin(standing, _of_item(standing) & standing.c.expire_time.is_(None))
            .where(
                _WRITTEN_IN_REVIEW,
                items.c.content_revision > after,
                or_(kind.is_(None), kind.in_(RELEASING) & (decided < items.c.content_revision)),
            )
        )
        submitted = (
            select(decisions.c.revision, decisions.c.item_id)
            .join(items, and_(items.c.id == decisions.c.item_id, ~items.c.removed))
            .where(
                _in_force(moment),
                decisions.c.kind == DecisionKind.SUBMIT,
                decisions.c.revision > after,
            )
        )
        waiting = union_all(written, submitted).order_by("place").limit(limit)
        with self._engine.connect() as connection:
            return [(place, item_id) for place, item_id in connection.execute(waiting)]


def _known(tx: Transaction, ids: Collection[str]) -> list[str]:
    """Return those of `ids` that there is an item of or a decision about, in their order."""
    held = select(items.c.id).where(items.c.id.in_(ids), ~items.c.removed)
    decided = select(decisions.c.item_id).where(LATEST, decisions.c.item_id.in_(ids))
    known = set(tx.execute(held.union(decided)).scalars())
    return [item_id for item_id in ids if item_id in known]


def _in_force(moment: int) -> ColumnElement[bool]:
    temporary = decisions.alias()
    over = exists().where(
        temporary.c.latest == true(),
        temporary.c.item_id == decisions.c.item_id,
        temporary.c.expire_time > moment,
    )
    standing = decisions.c.expire_time.is_(None) & ~over
    return LATEST & or_(decisions.c.expire_time > moment, standing)


def _decisions(moment: int) -> Select[Any]:
    return select(*decisions.c, _in_force(moment).label("in_force"))


def _of_item(alias: Any) -> ColumnElement[bool]:  # noqa: ANN401 (an alias of a table)
    return and_(alias.c.latest == true(), alias.c.item_id == items.c.id)


def _decision(row: Row[Any]) -> Decision:
    return Decision(
        row.revision,
        row.item_id,
        DecisionKind(row.kind),
        row.penalty,
        row.author,
        row.reason,
        row.time,
        row.expire_time,
        bool(row.in_force),
    )
