"""From a decision as it is sent to one that can be made."""

from longtail.runtime.errors import InvalidArgument, Violation
from longtail.runtime.identity import Caller
from longtail.server.rpc.read.fields import (
    check_batch,
    check_id,
    check_number,
    check_text,
    check_unique,
    microseconds,
)
from longtail.server.store.records import DecisionKind, NewDecision
from longtail.v1 import decision_pb2
from longtail.v1 import review_service_pb2 as pb

MAX_REASON = 1000


def new_decision(request: pb.DecideItemsRequest, caller: Caller) -> NewDecision:
    """Return what a caller decides about the items of a request, whose ids are checked too."""
    check_batch("item_ids", request.item_ids)
    ids = {f"item_ids[{at}]": item_id for at, item_id in enumerate(request.item_ids)}
    for field, item_id in ids.items():
        check_id(field, item_id)
    check_unique(ids)
    kind = decision_kind("kind", request.kind)
    if kind is None:
        raise InvalidArgument(Violation("kind", "is not set"))
    return NewDecision(
        kind=kind,
        penalty=_penalty(request, kind),
        author=_author(request.author, caller),
        reason=_reason(request.reason),
        expire_time=microseconds("expire_time", request.expire_time)
        if request.HasField("expire_time")
        else None,
    )


def decision_kind(field: str, kind: decision_pb2.DecisionKind) -> DecisionKind | None:
    """Return a kind of decisions; None where it is unset."""
    if kind == decision_pb2.DECISION_KIND_UNSPECIFIED:
        return None
    try:
        return DecisionKind(kind)
    except ValueError:
        problem = f"is {kind}, which is no kind of decisions"
        raise InvalidArgument(Violation(field, problem)) from None


def _author(author: str, caller: Caller) -> str:
    if not caller.has_key:
        return check_id("author", author)
    if author in ("", caller.name):
        return caller.name
    # Names of keys have no blanks, so that nobody's words pass for another key's name.
    return f"{caller.name} for {check_id('author', author)}"


def _penalty(request: pb.DecideItemsRequest, kind: DecisionKind) -> float:
    if kind is not DecisionKind.PENALISE:
        if request.HasField("penalty"):
            raise InvalidArgument(Violation("penalty", "is set, and kind is not to penalise"))
        return 0.0
    penalty = check_number("penalty", request.penalty, 0, 1)
    if not penalty:
        raise InvalidArgument(Violation("penalty", "is zero, and kind is to penalise"))
    return penalty


def _reason(reason: str) -> str:
    if not reason:
        raise InvalidArgument(Violation("reason", "is empty"))
    return check_text("reason", reason, MAX_REASON)
