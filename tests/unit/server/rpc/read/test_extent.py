"""How much a request holds, found out before it is read."""

import pytest
from longtail.runtime.errors import InvalidArgument
from longtail.server.rpc.read.extent import (
    FEW_ELEMENTS,
    MAX_REQUEST_OPERANDS,
    SHORT_TOKEN,
    is_long,
)
from longtail.v1 import filter_pb2
from longtail.v1 import recommendation_service_pb2 as pb

Message = pb.RecommendRequest


def one_of(operands: int) -> filter_pb2.Condition:
    condition = filter_pb2.Condition(field="year")
    getattr(condition, "in").values.extend([filter_pb2.Operand(number=1)] * operands)
    return condition


def filter_of(conditions: int, operands: int) -> filter_pb2.Filter:
    return filter_pb2.Filter(any_of=[one_of(operands)] * conditions)


@pytest.mark.parametrize(
    ("message", "long"),
    [
        (Message(), False),
        (Message(query="robots", filter=filter_of(3, 10)), False),
        (Message(filter=filter_of(1, FEW_ELEMENTS)), True),
        (Message(rules=[pb.Rule(filter=filter_of(2, FEW_ELEMENTS // 2))]), True),
        (Message(rules=[pb.Rule(item_ids=["a"] * (FEW_ELEMENTS + 1))]), True),
        (Message(exclude=pb.Exclusions(item_ids=["a"] * FEW_ELEMENTS)), False),
        (Message(exclude=pb.Exclusions(item_ids=["a"] * (FEW_ELEMENTS + 1))), True),
        (Message(examples=[pb.Example(item_id="a")] * (FEW_ELEMENTS + 1)), True),
        (Message(page_token="t" * SHORT_TOKEN), False),
        (Message(page_token="t" * (SHORT_TOKEN + 1)), True),
    ],
)
def test_a_request_is_long_when_it_takes_long_to_read(message: Message, long: bool) -> None:
    assert is_long(message) == long


def test_the_operands_of_a_request_have_a_limit_together() -> None:
    rules = [pb.Rule(boost=2, filter=filter_of(1, 999))] * 9
    most = MAX_REQUEST_OPERANDS - 9 * 1000
    assert is_long(Message(filter=filter_of(1, most - 1), rules=rules))
    with pytest.raises(InvalidArgument, match=r"rules\[8\]\.filter: brings .* 10001, over 10000"):
        is_long(Message(filter=filter_of(1, most), rules=rules))
    with pytest.raises(InvalidArgument, match=r"^filter: brings the request's operands to 10010,"):
        is_long(Message(filter=filter_of(10, 1000), rules=rules))


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (Message(rules=[pb.Rule()] * 21), "rules"),
        (Message(filter=filter_of(33, 1)), "filter"),
        (Message(rules=[pb.Rule(), pb.Rule(filter=filter_of(33, 1))]), "rules[1].filter"),
    ],
)
def test_what_is_too_much_is_not_counted_further(message: Message, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        is_long(message)
    assert [violation.field for violation in caught.value.violations] == [field]
