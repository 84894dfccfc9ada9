"""From stored decisions to messages and sentences."""

from google.protobuf import timestamp_pb2
from longtail.server.store.records import Decision, DecisionKind
from longtail.v1 import decision_pb2


def decision_message(decision: Decision) -> decision_pb2.Decision:
    """Return a decision."""
    message = decision_pb2.Decision(
        revision=decision.revision,
        item_id=decision.item_id,
        kind=decision_pb2.DecisionKind.Name(decision.kind),
        penalty=decision.penalty,
        author=decision.author,
        reason=decision.reason,
        in_force=decision.in_force,
    )
    message.create_time.FromMicroseconds(decision.time)
    if decision.expire_time is not None:
        message.expire_time.FromMicroseconds(decision.expire_time)
    return message


def decided(decision: Decision | None, *kinds: DecisionKind) -> str:
    """Return who decided so, until when and why, to end a sentence with.

    It is a full stop alone where no decision of these kinds did.
    """
    if decision is None or decision.kind not in kinds:
        return "."
    until = ""
    if decision.expire_time is not None:
        moment = timestamp_pb2.Timestamp()
        moment.FromMicroseconds(decision.expire_time)
        until = f" until {moment.ToJsonString()}"
    return f"{until}, as {decision.author} decided: {decision.reason.rstrip().rstrip('.')}."
