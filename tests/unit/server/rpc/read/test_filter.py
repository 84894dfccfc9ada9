import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from longtail.runtime.errors import InvalidArgument
from longtail.server.catalogue.columns.filter import (
    Condition,
    Equals,
    Exists,
    Filter,
    In,
    Kind,
    Range,
)
from longtail.server.rpc.read.filter import filter_of
from longtail.v1 import filter_pb2 as pb

TEXT, NUMBER, FLAG = pb.Operand(text="x"), pb.Operand(number=1), pb.Operand(flag=True)
TIME = pb.Operand(time=Timestamp(seconds=2, nanos=3000))


def within(*values: pb.Operand) -> pb.Condition:
    # "in" is a keyword of Python.
    return pb.Condition(field="a", **{"in": pb.OperandList(values=values)})  # type: ignore[arg-type]


def between(**bounds: pb.Operand) -> pb.Condition:
    return pb.Condition(field="a", range=pb.Range(**bounds))


def equal(operand: pb.Operand) -> pb.Condition:
    return pb.Condition(field="a", equals=operand)


GOOD: list[tuple[pb.Condition, Equals | In | Range | Exists]] = [
    (equal(TEXT), Equals(Kind.TEXT, "x")),
    (equal(pb.Operand(text="")), Equals(Kind.TEXT, "")),
    (equal(pb.Operand(text="é" * 1000)), Equals(Kind.TEXT, "é" * 1000)),
    (equal(NUMBER), Equals(Kind.NUMBER, 1.0)),
    (equal(pb.Operand(flag=False)), Equals(Kind.FLAG, False)),
    (equal(TIME), Equals(Kind.TIME, 2_000_003)),
    (within(NUMBER, NUMBER), In(Kind.NUMBER, frozenset({1.0}))),
    (within(*[TEXT] * 1000), In(Kind.TEXT, frozenset({"x"}))),
    (between(at_least=NUMBER), Range(Kind.NUMBER, at_least=1.0)),
    (
        between(more_than=NUMBER, less_than=pb.Operand(number=0)),
        Range(Kind.NUMBER, more_than=1.0, less_than=0.0),
    ),
    (between(at_most=TIME), Range(Kind.TIME, at_most=2_000_003)),
    (pb.Condition(field="a", exists=False), Exists(False)),
    (pb.Condition(field="a", exists=True), Exists(True)),
]


@pytest.mark.parametrize(("message", "test"), GOOD)
def test_each_test_of_the_contract_is_taken_over(
    message: pb.Condition, test: Equals | In | Range | Exists
) -> None:
    read = filter_of(pb.Filter(all_of=[message]), "filter")
    assert read == Filter((Condition("a", test),))


def test_each_group_keeps_its_conditions_in_order() -> None:
    first, second = (pb.Condition(field=name, exists=True) for name in ("a" * 256, "b.c"))
    read = filter_of(pb.Filter(any_of=[first, second], none_of=[second]), "filter")
    a, b = (Condition(name, Exists(True)) for name in ("a" * 256, "b.c"))
    assert read == Filter(any_of=(a, b), none_of=(b,))


def test_an_empty_filter_is_none() -> None:
    assert filter_of(pb.Filter(), "filter") is None


def last_of_three(condition: pb.Condition) -> pb.Filter:
    fine = pb.Condition(field="b", exists=True)
    return pb.Filter(none_of=[fine, fine, condition])


NAN, INFINITY = pb.Operand(number=float("nan")), pb.Operand(number=float("-inf"))
BAD = {
    "no field": (pb.Condition(exists=True), ".field"),
    "blank field": (pb.Condition(field=" \n", exists=True), ".field"),
    "overlong field": (pb.Condition(field="a" * 257, exists=True), ".field"),
    "no test": (pb.Condition(field="a"), ""),
    "no value": (equal(pb.Operand()), ".equals"),
    "overlong text": (equal(pb.Operand(text="x" * 1001)), ".equals.text"),
    "NaN": (equal(NAN), ".equals.number"),
    "infinity": (equal(INFINITY), ".equals.number"),
    "time beyond the calendar": (
        equal(pb.Operand(time=Timestamp(seconds=10**12))),
        ".equals.time",
    ),
    "time with negative nanos": (equal(pb.Operand(time=Timestamp(nanos=-1))), ".equals.time"),
    "empty list": (within(), ".in.values"),
    "overlong list": (within(*[TEXT] * 1001), ".in.values"),
    "list with a hole": (within(TEXT, pb.Operand()), ".in.values[1]"),
    "NaN in a list": (within(NUMBER, NUMBER, NAN), ".in.values[2].number"),
    "mixed list": (within(NUMBER, NUMBER, FLAG), ".in.values[2]"),
    "range without bounds": (between(), ".range"),
    "range of texts": (between(at_least=TEXT), ".range.at_least"),
    "range of truth values": (between(less_than=FLAG), ".range.less_than"),
    "mixed range": (between(at_least=NUMBER, less_than=TIME), ".range.less_than"),
    "bound without value": (between(at_most=pb.Operand()), ".range.at_most"),
    "infinite bound": (between(more_than=INFINITY), ".range.more_than.number"),
}


@pytest.mark.parametrize(("condition", "path"), BAD.values(), ids=BAD)
def test_what_breaks_a_limit_is_named(condition: pb.Condition, path: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        filter_of(last_of_three(condition), "wish.filter")
    (violation,) = caught.value.violations
    assert violation.field == f"wish.filter.none_of[2]{path}"
    assert violation.description.startswith(("is ", "has ", "holds "))


def test_more_than_32_conditions_are_refused_however_they_are_grouped() -> None:
    condition = pb.Condition(field="a", exists=True)
    most = pb.Filter(all_of=[condition] * 12, any_of=[condition] * 10, none_of=[condition] * 10)
    assert filter_of(most, "filter") is not None
    most.any_of.append(condition)
    with pytest.raises(InvalidArgument) as caught:
        filter_of(most, "filter")
    assert [violation.field for violation in caught.value.violations] == ["filter"]
