"""Why an item is in a list, or why it is not."""

import math
from collections.abc import Sequence

import numpy as np
from longtail.runtime.errors import NotFound
from longtail.server.ranking.listing import Listing
from longtail.server.recommend.answer import Answer
from longtail.server.recommend.odds_rules import rule_factors
from longtail.server.recommend.recommender import Recommender
from longtail.server.rpc.write.breakdowns import placed_at
from longtail.server.rpc.write.results import results, unlisted
from longtail.server.store.items import ItemRecords
from longtail.server.store.records import State
from longtail.v1 import recommendation_service_pb2 as pb

PLACED_BY = {
    pb.REASON_EXPLORATION: "it was drawn for a place that is kept for items hardly anybody knows",
    pb.REASON_LONG_TAIL: "the long tail has its place in the list",
}


def explain(
    answer: Answer,
    recommender: Recommender,
    records: ItemRecords,
    item_id: str,
    *,
    include_item: bool,
) -> pb.ExplainItemResponse:
    """Explain the place of an item in `answer`, or why it has none.

    Reads from the store. Raises NotFound when the catalogue does not hold the item.
    """
    pool, listing = answer.pool, answer.listing
    position = pool.ids.index(item_id) if item_id in pool.ids else None
    if listing is not None and position is not None and position in listing.chosen:
        listed = results(answer, records, pb.EXPLAIN_FULL, include_items=include_item)
        [result] = (each for each in listed if each.item_id == item_id)
        return pb.ExplainItemResponse(
            verdict=pb.VERDICT_LISTED,
            recommendation=result,
            summary=_why_listed(answer, result) + _rules_at_work(answer, item_id),
        )
    if listing is not None and position is not None:
        placed = placed_at(pool, position)
        rank = int(listing.baseline[position])
        verdict, why = _passed_over(answer, listing, position)
    else:
        found = recommender.place(answer, item_id)
        if found is None:
            raise NotFound("item", item_id)
        placed = found
        rank = 1 + int((pool.relevance > placed.relevance).sum())
        verdict, why = _left_out(answer, item_id)
    result = unlisted(
        answer, records, item_id, placed, answer.offset + rank, include_item=include_item
    )
    gap = 0.0
    if listing is not None:
        gap = float(pool.relevance[listing.chosen[-1]]) - placed.relevance
        why += " " + _standing(answer, rank, gap)
    why += _rules_at_work(answer, item_id)
    return pb.ExplainItemResponse(
        verdict=verdict, recommendation=result, relevance_gap=gap, summary=why
    )


def _why_listed(answer: Answer, result: pb.Recommendation) -> str:
    rank, baseline = result.rank, result.breakdown.baseline_rank
    why = next((PLACED_BY[each] for each in result.reasons if each in PLACED_BY), "")
    if pb.REASON_PINNED in result.reasons:
        [name] = (pin.name for pin in answer.wish.pins if pin.item_id == result.item_id)
        why = f"{_named([name])} pins it there"
    without = "there too" if baseline == rank else f"at {baseline}"
    return (
        f"It stands at place {rank} because {why or 'its relevance puts it there'}; "
        f"by relevance alone, without the long tail's price, it would stand {without}."
    )


def _passed_over(answer: Answer, listing: Listing, position: int) -> tuple[pb.Verdict, str]:
    relevance, policy = answer.pool.relevance, answer.wish.policy
    short = len(listing.chosen) < answer.wish.page_size
    # Also a candidate that others outrank anyway may be against a cap.
    in_reach = short or relevance[position] > relevance[listing.chosen].min()
    if listing.capped[position] and in_reach:
        fields = ", ".join(dict.fromkeys(cap.field for cap in policy.caps))
        return (
            pb.VERDICT_CAPPED,
            f"It is a candidate, but the list holds as many with its {fields} as the caps allow.",
        )
    return pb.VERDICT_OUTRANKED, "It is a candidate, but others took the places."


def _left_out(answer: Answer, item_id: str) -> tuple[pb.Verdict, str]:
    wish = answer.wish
    if item_id in wish.excluded:
        return pb.VERDICT_EXCLUDED, "The request excludes it."
    if any(example.item_id == item_id for example in wish.item_examples):
        return pb.VERDICT_EXAMPLE, "It is one of the request's examples."
    if item_id in answer.seen:
        return pb.VERDICT_SEEN, "The person has seen it."
    unoffered = _unoffered(answer, item_id)
    if unoffered is not None:
        return unoffered
    if answer.offset:
        why = "It stands on a page before this one, or was no candidate for any."
    else:
        why = f"It is not among the {len(answer.pool.ids)} candidates."
    return pb.VERDICT_NOT_RETRIEVED, why


def _unoffered(answer: Answer, item_id: str) -> tuple[pb.Verdict, str] | None:
    """Return why an item is not offered to this request at all; None when it is."""
    columns, scope = answer.state.columns, answer.scope
    [row] = columns.rows_at([item_id], scope.revision)
    match columns.state_of(row):
        case State.HIDDEN:
            return pb.VERDICT_HIDDEN, "It is hidden."
        case State.IN_REVIEW:
            return pb.VERDICT_IN_REVIEW, "It is in review."
    if not columns.is_available(row, scope.now):
        return pb.VERDICT_UNAVAILABLE, "It is not available now."
    if not scope.passes(np.array([row]))[0]:
        return pb.VERDICT_FILTERED, "It does not pass the filter."
    return None


def _standing(answer: Answer, rank: int, gap: float) -> str:
    """Say where an item stands by relevance; `rank` is its place in the pool."""
    beside = (
        f"{gap:.4f} below the last item listed"
        if gap > 0
        else f"{-gap:.4f} above the last item listed"
    )
    return (
        f"By relevance alone, without the long tail's price, it would stand at "
        f"{answer.offset + rank} of {answer.offset + len(answer.pool.ids)} candidates: its "
        f"relevance is {beside}."
    )


def _rules_at_work(answer: Answer, item_id: str) -> str:
    """Say which rules change the odds of an item, in a sentence to be appended; empty if none."""
    rows = answer.state.columns.rows_at([item_id], answer.scope.revision)
    factors = {
        rule: float(rule_factors([rule], answer.scope, [item_id], rows)[0])
        for rule in answer.wish.odds_rules
    }
    at_work = [rule.name for rule, factor in factors.items() if factor != 1]
    if not at_work:
        return ""
    return f" Its odds are multiplied by {math.prod(factors.values()):g}: {_named(at_work)}."


def _named(rules: Sequence[str]) -> str:
    names = [f"{name!r}" for name in rules if name]
    if not names:
        return "a rule"
    return ("the rule " if len(names) == 1 else "the rules ") + ", ".join(names)
