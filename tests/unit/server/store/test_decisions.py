"""What is decided about items: the history, what counts of it, and what awaits a decision."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from longtail.server.store.clock import now
from longtail.server.store.records import (
    DecisionKind,
    NewDecision,
    NewItem,
    Ruling,
    Rulings,
    RulingsChange,
    State,
)
from sqlalchemy import event, text

from tests.unit.server.store.test_migration import make_store
from tests.unit.server.store_records import Opened, new_item, opened

HOUR = 3600 * 10**6


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Opened]:
    with opened(tmp_path / "longtail.db") as store:
        yield store


def item(item_id: str, state: State = State.IN_REVIEW, title: str = "A title") -> NewItem:
    plain = new_item(item_id, title)
    return replace(plain, content=replace(plain.content, state=state))


def decide(
    it: Opened,
    kind: DecisionKind,
    *ids: str,
    expire_time: int | None = None,
    penalty: float = 0.0,
    reason: str = "spam",
) -> tuple[frozenset[str], int]:
    new = NewDecision(kind, penalty, "ann", reason, expire_time)
    return it.do(lambda tx: it.store.decisions.decide(tx, new, ids))


def queue(it: Opened, after: int = 0, limit: int = 100) -> list[str]:
    return [item_id for _, item_id in it.store.decisions.queue(after=after, limit=limit)]


def in_force(it: Opened) -> dict[str, DecisionKind]:
    found = it.store.decisions.list_page(
        item_id="", kind=None, in_force=True, before=None, limit=100
    )
    assert all(each.in_force for each in found)
    return {each.item_id: each.kind for each in found}


def pass_by(it: Opened, item_id: str) -> None:
    """Let the time of an item's temporary decision pass."""
    past = {"moment": now() - 1, "item": item_id}
    statement = text(
        "UPDATE decisions SET expire_time = :moment"
        " WHERE item_id = :item AND expire_time IS NOT NULL"
    )
    it.do(lambda tx: tx.execute(statement, past))


def test_the_queue_holds_what_was_written_in_review_and_what_was_submitted(it: Opened) -> None:
    it.upsert(item("b"), item("a"), item("active", State.ACTIVE), item("hidden", State.HIDDEN))
    decide(it, DecisionKind.SUBMIT, "active")
    assert queue(it) == ["b", "a", "active"]
    places = [place for place, _ in it.store.decisions.queue(after=0, limit=2)]
    assert queue(it, after=places[0], limit=1) == ["a"]
    assert queue(it, after=places[1]) == ["active"]
    decide(it, DecisionKind.HIDE, "a")
    decide(it, DecisionKind.APPROVE, "b", "active")
    assert queue(it) == []
    # Whoever changes their mind brings it back, and it waits from then on.
    decide(it, DecisionKind.SUBMIT, "b")
    it.upsert(item("late"))
    assert queue(it) == ["b", "late"]
    it.remove("late", "b")
    assert queue(it) == []


def test_who_is_approved_awaits_review_again_when_the_content_changes(it: Opened) -> None:
    it.upsert(item("a"), item("b"))
    decide(it, DecisionKind.APPROVE, "a")
    decide(it, DecisionKind.PENALISE, "b", penalty=0.5)
    for same in (item("a"), item("b")):
        # Popularity and the like are no business of a review.
        it.upsert(replace(same, content=replace(same.content, prior=7.0)))
    assert queue(it) == []
    it.upsert(item("a", title="Another"))
    content = item("b")
    it.upsert(replace(content, content=replace(content.content, attributes={"new": 1})))
    assert queue(it) == ["a", "b"]
    decide(it, DecisionKind.APPROVE, "a", "b")
    assert queue(it) == []
    it.remove("a")
    it.upsert(item("a", title="Another"))
    assert queue(it) == ["a"]


def test_a_decision_with_a_term_stands_over_the_one_without(it: Opened) -> None:
    it.upsert(item("a", State.ACTIVE))
    decide(it, DecisionKind.PENALISE, "a", penalty=0.5)
    decide(it, DecisionKind.SUBMIT, "a", expire_time=now() + HOUR)
    assert queue(it) == ["a"]
    _, revision = decide(it, DecisionKind.HIDE, "a", expire_time=now() + HOUR)
    assert (queue(it), in_force(it)) == ([], {"a": DecisionKind.HIDE})
    pass_by(it, "a")
    assert in_force(it) == {"a": DecisionKind.PENALISE}
    assert not it.store.decisions.get([revision])[revision].in_force
    decide(it, DecisionKind.HIDE, "a", expire_time=now() + HOUR)
    decide(it, DecisionKind.APPROVE, "a")
    assert in_force(it) == {"a": DecisionKind.APPROVE}
    found = it.store.decisions.list_page(
        item_id="a", kind=None, in_force=False, before=None, limit=9
    )
    kinds = [each.kind.name for each in found]
    assert kinds == ["APPROVE", "HIDE", "HIDE", "SUBMIT", "PENALISE"]


def test_an_approval_for_a_time_gives_back_what_waited(it: Opened) -> None:
    it.upsert(item("a"))
    decide(it, DecisionKind.APPROVE, "a", expire_time=now() + HOUR)
    assert queue(it) == []
    pass_by(it, "a")
    assert queue(it) == ["a"]


def test_only_what_is_known_is_decided_about_unless_it_is_blocked(it: Opened) -> None:
    it.upsert(item("a"))
    before = it.revision
    assert decide(it, DecisionKind.HIDE, "nobody") == (frozenset(), before)
    known, revision = decide(it, DecisionKind.HIDE, "nobody", "a")
    assert (known, revision) == (frozenset({"a"}), before + 1)
    known, revision = decide(it, DecisionKind.BLOCK, "nobody", "a")
    assert (known, revision) == (frozenset({"a", "nobody"}), before + 3)
    # Who is on the block list can be taken off.
    assert decide(it, DecisionKind.APPROVE, "nobody")[0] == {"nobody"}
    listed = it.store.decisions.list_page(
        item_id="", kind=DecisionKind.BLOCK, in_force=True, before=None, limit=9
    )
    assert [(each.item_id, each.author, each.reason) for each in listed] == [("a", "ann", "spam")]


def test_decisions_are_paged_by_revision(it: Opened) -> None:
    ids = [f"{n}" for n in range(5)]
    decide(it, DecisionKind.BLOCK, *ids)
    decide(it, DecisionKind.APPROVE, "3")
    seen, before = [], None
    while page := it.store.decisions.list_page(
        item_id="", kind=None, in_force=False, before=before, limit=2
    ):
        seen += [(each.item_id, each.kind.name) for each in page]
        before = page[-1].revision
    assert seen == [("3", "APPROVE"), *((item_id, "BLOCK") for item_id in reversed(ids))]


def test_a_view_reads_what_counts_of_the_items_that_were_decided_about(it: Opened) -> None:
    it.upsert(item("a"), item("b"))
    start, term = it.revision, now() + HOUR
    _, first = decide(it, DecisionKind.PENALISE, "a", "b", penalty=0.5)
    _, second = decide(it, DecisionKind.HIDE, "a", expire_time=term)
    standing = Ruling(first - 1, DecisionKind.PENALISE, 0.5)
    rulings = Rulings(standing, Ruling(second, DecisionKind.HIDE, 0.0), term)
    of_b = Rulings(Ruling(first, DecisionKind.PENALISE, 0.5))
    changes = it.store.changes
    expected = [RulingsChange("a", rulings), RulingsChange("b", of_b)]
    assert list(changes.rulings_changes(start, it.revision)) == expected
    assert list(changes.rulings_changes(first, it.revision)) == expected[:1]
    assert list(changes.rulings_changes(second, it.revision)) == []
    assert rulings.at(term - 1) == rulings.temporary
    assert rulings.at(term) == standing


def test_what_waited_before_there_were_decisions_awaits_one(tmp_path: Path) -> None:
    path = tmp_path / "longtail.db"
    columns = "id, revision, removed, title, text, attributes, prior, vector_given, create_time"
    make_store(
        path,
        "0008",
        f"INSERT INTO items ({columns}, update_time, state)"
        " VALUES ('late', 2, 0, 'T', 'x', '{}', 0, 0, 7, 8, 3), "
        "('early', 1, 0, 'T', 'x', '{}', 0, 0, 7, 8, 3), "
        "('there', 3, 0, 'T', 'x', '{}', 0, 0, 7, 8, 1)",
        "UPDATE sequence SET revision = 3",
    )
    with opened(path) as it:
        assert queue(it) == ["early", "late"]
        decide(it, DecisionKind.APPROVE, "early")
        assert queue(it) == ["late"]


def test_the_queue_is_not_looked_for_in_the_whole_catalogue(it: Opened) -> None:
    asked: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, given: Any, *___: object) -> None:  # noqa: ANN401
        asked.append((statement, given))

    engine = it.store.decisions._engine
    event.listen(engine, "before_cursor_execute", note)
    queue(it)
    event.remove(engine, "before_cursor_execute", note)
    statement, given = asked[-1]
    with engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given)
        steps = [str(row[3]) for row in plan]
    assert any("items_in_review" in step for step in steps), steps
    assert not any(step.startswith("SCAN items") for step in steps), steps
