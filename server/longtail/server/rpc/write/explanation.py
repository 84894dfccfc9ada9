"""Why an item is in a list, or why it is not."""

import math
from collections.abc import Sequence

import numpy as np
from longtail.server.ranking.duplicates import SAME
from longtail.server.ranking.listing import Listing
from longtail.server.recommend.answer import Answer
from longtail.server.recommend.scoring import Candidates, rule_factors
from longtail.server.rpc.write.decision import decided, decision_message
from longtail.server.rpc.write.recommendation import listed, unlisted
from longtail.server.store.records import Decision, DecisionKind, State
from longtail.v1 import decision_pb2
from longtail.v1 import recommendation_service_pb2 as pb

# Words of a query that are told in a sentence, the rarest.
NAMED_WORDS = 5
PLACED_BY = {
    pb.REASON_EXPLORATION: "it was drawn for a place that is kept for items hardly anybody knows",
    pb.REASON_LONG_TAIL: "the long tail has its place in the list",
}


def explain_listed(
    answer: Answer, item_id: str, decision: Decision | None = None
) -> pb.ExplainItemResponse | None:
    """Explain the place of an item in the list of `answer`; None when it has none.

    `decision`: what was decided about the item and counts, if anything.
    """
    candidates = answer.candidates
    if item_id not in {candidates.ids[at] for at in answer.chosen.tolist()}:
        return None
    [result] = (each for each in listed(answer, pb.EXPLAIN_FULL) if each.item_id == item_id)
    return pb.ExplainItemResponse(
        verdict=pb.VERDICT_LISTED,
        recommendation=result,
        summary=_why_listed(answer, result) + _at_work(answer, item_id, result, decision),
        decision=_told(decision),
    )


def explain_unlisted(
    answer: Answer, item_id: str, alone: Candidates | None, decision: Decision | None = None
) -> pb.ExplainItemResponse:
    """Explain why an item has no place in the list of `answer`.

    `alone`: the item as the one candidate, on the scale of the answer's; None when it is among
    those. `decision` as in `explain_listed`.
    """
    candidates, listing = answer.candidates, answer.listing
    if listing is not None and alone is None:
        scored, position = candidates, candidates.ids.index(item_id)
        rank = int(listing.baseline[position])
        verdict, why = _passed_over(answer, listing, position)
    else:
        scored, position = alone or candidates, 0
        rank = 1 + int((candidates.relevance > scored.relevance[position]).sum())
        verdict, why = _left_out(answer, item_id, decision)
    result = unlisted(answer.context, scored, position, answer.offset + rank)
    gap = 0.0
    if listing is not None:
        last = candidates.relevance[listing.chosen[-1]]
        gap = float(last) - float(scored.relevance[position])
        why += " " + _standing(answer, rank, gap)
    why += _at_work(answer, item_id, result, decision)
    return pb.ExplainItemResponse(
        verdict=verdict,
        recommendation=result,
        relevance_gap=gap,
        summary=why,
        decision=_told(decision),
    )


def _why_listed(answer: Answer, result: pb.Recommendation) -> str:
    rank, baseline = result.rank, result.breakdown.baseline_rank
    why = next((PLACED_BY[each] for each in result.reasons if each in PLACED_BY), "")
    if pb.REASON_PINNED in result.reasons:
        [name] = (pin.name for pin in answer.context.request.pins if pin.item_id == result.item_id)
        why = f"{_named([name])} pins it there"
    without = "there too" if baseline == rank else f"at {baseline}"
    return (
        f"It stands at place {rank} because {why or 'its relevance puts it there'}; "
        f"by relevance alone, without the long tail's price, it would stand {without}."
    )


def _passed_over(answer: Answer, listing: Listing, position: int) -> tuple[pb.Verdict, str]:
    relevance, policy = answer.candidates.relevance, answer.policy
    short = len(listing.chosen) < answer.context.request.page_size
    # Also a candidate that others outrank anyway may be against a cap.
    in_reach = short or relevance[position] > relevance[listing.chosen].min()
    if listing.capped[position] and in_reach:
        fields = ", ".join(dict.fromkeys(cap.field for cap in policy.caps))
        return (
            pb.VERDICT_CAPPED,
            f"It is a candidate, but the list holds as many with its {fields} as the caps allow.",
        )
    return pb.VERDICT_OUTRANKED, "It is a candidate, but others took the places."


def _left_out(answer: Answer, item_id: str, decision: Decision | None) -> tuple[pb.Verdict, str]:
    context, request = answer.context, answer.context.request
    if item_id in request.excluded:
        return pb.VERDICT_EXCLUDED, "The request excludes it."
    if any(example.item_id == item_id for example in request.item_examples):
        return pb.VERDICT_EXAMPLE, "It is one of the request's examples."
    if item_id in context.seen:
        return pb.VERDICT_SEEN, "The person has seen it."
    unoffered = _unoffered(answer, item_id, decision)
    if unoffered is not None:
        return unoffered
    original = _original(answer, item_id)
    if original:
        return pb.VERDICT_COPY, f"It is the same as {original!r}, which stands for it."
    if answer.offset:
        why = "It stands on a page before this one, or was no candidate for any."
    else:
        why = f"It is not among the {len(answer.candidates.ids)} candidates."
    return pb.VERDICT_NOT_RETRIEVED, why


def _unoffered(
    answer: Answer, item_id: str, decision: Decision | None
) -> tuple[pb.Verdict, str] | None:
    """Return why an item is not offered to this request at all; None when it is."""
    columns, scope = answer.context.state.columns, answer.context.scope
    [row] = columns.rows_at([item_id], scope.revision)
    match columns.state_of(row, scope.now):
        case State.HIDDEN:
            why = decided(decision, DecisionKind.HIDE, DecisionKind.BLOCK)
            return pb.VERDICT_HIDDEN, f"It is hidden{why}"
        case State.IN_REVIEW:
            return pb.VERDICT_IN_REVIEW, f"It is in review{decided(decision, DecisionKind.SUBMIT)}"
    if not columns.is_available(row, scope.now):
        return pb.VERDICT_UNAVAILABLE, "It is not available now."
    if not scope.passes(np.array([row]))[0]:
        return pb.VERDICT_FILTERED, "It does not pass the filter."
    return None


def _original(answer: Answer, item_id: str) -> str:
    """Return the candidate that stands for an item that is none; empty where there is none."""
    context, candidates = answer.context, answer.candidates
    if context.request.allow_copies or not candidates.ids:
        return ""
    [row] = context.state.columns.rows_at([item_id], context.scope.revision)
    cosines = candidates.vectors @ context.state.index.vectors(np.array([row]))[0]
    nearest = int(cosines.argmax())
    return candidates.ids[nearest] if cosines[nearest] >= SAME else ""


def _standing(answer: Answer, rank: int, gap: float) -> str:
    """Say where an item stands by relevance; `rank` is its place in the pool."""
    amount = f"{abs(gap):.4f}"
    if float(amount) == 0:
        beside = "that of the last item listed"
    else:
        beside = f"{amount} {'below' if gap > 0 else 'above'} the last item listed"
    return (
        f"By relevance alone, without the long tail's price, it would stand at "
        f"{answer.offset + rank} of {answer.offset + len(answer.candidates.ids)} candidates: its "
        f"relevance is {beside}."
    )


def _at_work(
    answer: Answer, item_id: str, result: pb.Recommendation, decision: Decision | None
) -> str:
    """Say what changes the relevance of an item, in sentences to be appended; empty if nothing."""
    said, penalty = _words(result), result.breakdown.penalty
    if penalty:
        why = decided(decision, DecisionKind.PENALISE)
        said += f" A penalty takes {100 * penalty:g}% of its relevance{why}"
    return said + _rules_at_work(answer, item_id)


def _words(result: pb.Recommendation) -> str:
    """Say which words of the query an item holds, in a sentence to be appended; empty if none."""
    words = result.matched_words
    if not words:
        return ""
    named = ", ".join(f"{word!r}" for word in words[:NAMED_WORDS])
    more = f" and {len(words) - NAMED_WORDS} more" if len(words) > NAMED_WORDS else ""
    return f" It holds of the query's words: {named}{more}."


def _told(decision: Decision | None) -> decision_pb2.Decision | None:
    return None if decision is None else decision_message(decision)


def _rules_at_work(answer: Answer, item_id: str) -> str:
    """Say which rules change the odds of an item, in a sentence to be appended; empty if none."""
    context = answer.context
    rows = context.state.columns.rows_at([item_id], context.scope.revision)
    factors = {
        rule: float(rule_factors([rule], context.scope, [item_id], rows)[0])
        for rule in context.request.odds_rules
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
