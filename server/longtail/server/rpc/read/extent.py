"""How much a RecommendRequest holds, found out before any of it is read."""

from longtail.runtime.errors import InvalidArgument, Violation
from longtail.server.rpc.read.counts import check_count
from longtail.server.rpc.read.filter import operand_count
from longtail.server.rpc.read.rules import MAX_RULES
from longtail.v1 import recommendation_service_pb2 as pb

# Of the filter and of all rules together: each is looked up, or compared with every item.
MAX_REQUEST_OPERANDS = 10_000
# Reading more elements, or unpacking a longer token, takes a noticeable part of a millisecond.
FEW_ELEMENTS, SHORT_TOKEN = 200, 16 * 1024
# Each rule has two of them at least: in so few there are not too many of anything.
FEW_BYTES = 2 * MAX_RULES


def is_long(message: pb.RecommendRequest) -> bool:
    """Return whether to read a request takes so long that others would feel it.

    Raises InvalidArgument when it has more rules, conditions or operands than a request may have.
    """
    if message.ByteSize() <= FEW_BYTES:
        return False
    elements = len(message.examples) + len(message.exclude.item_ids)
    if message.rules or message.HasField("filter"):
        elements += _conditional_elements(message)
    return elements > FEW_ELEMENTS or len(message.page_token) > SHORT_TOKEN


def _conditional_elements(message: pb.RecommendRequest) -> int:
    """Return how many operands and items of rules there are."""
    check_count("rules", message.rules, MAX_RULES)
    filters = [("filter", message.filter)]
    filters += [(f"rules[{at}].filter", rule.filter) for at, rule in enumerate(message.rules)]
    operands = 0
    for field, wanted in filters:
        operands += operand_count(wanted, field)
        if operands > MAX_REQUEST_OPERANDS:
            problem = f"brings the request's operands to {operands}, over {MAX_REQUEST_OPERANDS}"
            raise InvalidArgument(Violation(field, problem))
    return operands + sum(len(rule.item_ids) for rule in message.rules)
