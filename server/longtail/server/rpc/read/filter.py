"""From a filter message to a filter: each limit of the contract, with the field that breaks it."""

import itertools
import math
from collections.abc import Sequence

from longtail.runtime.errors import InvalidArgument, Violation
from longtail.server.catalogue.columns.filter import (
    Condition,
    Equals,
    Exists,
    Filter,
    In,
    Kind,
    Range,
    Test,
    Value,
)
from longtail.v1 import filter_pb2

MAX_CONDITIONS = 32
MAX_FIELD = 256
MAX_OPERAND = 1000
MAX_OPERANDS = 1000

BOUNDS = ("at_least", "at_most", "more_than", "less_than")


def filter_of(message: filter_pb2.Filter, field: str) -> Filter | None:
    """Return the filter in a message at `field`, None when it is empty; raise InvalidArgument."""
    if not _condition_count(message, field):
        return None
    groups = {"all_of": message.all_of, "any_of": message.any_of, "none_of": message.none_of}
    return Filter(**{name: _conditions(f"{field}.{name}", group) for name, group in groups.items()})


def operand_count(message: filter_pb2.Filter, field: str) -> int:
    """Return how many operands the filter in a message at `field` holds, and conditions.

    Raises InvalidArgument when it holds too many conditions.
    """
    count = _condition_count(message, field)
    conditions = itertools.chain(message.all_of, message.any_of, message.none_of)
    return count + sum(len(getattr(condition, "in").values) for condition in conditions)


def _condition_count(message: filter_pb2.Filter, field: str) -> int:
    count = len(message.all_of) + len(message.any_of) + len(message.none_of)
    if count > MAX_CONDITIONS:
        raise InvalidArgument(Violation(field, f"holds {count} conditions, over {MAX_CONDITIONS}"))
    return count


def _conditions(path: str, messages: Sequence[filter_pb2.Condition]) -> tuple[Condition, ...]:
    return tuple(
        _condition(f"{path}[{position}]", message) for position, message in enumerate(messages)
    )


def _condition(path: str, message: filter_pb2.Condition) -> Condition:
    if not message.field.strip():
        raise InvalidArgument(Violation(f"{path}.field", "is blank"))
    if len(message.field) > MAX_FIELD:
        raise InvalidArgument(
            Violation(f"{path}.field", f"is {len(message.field)} characters, over {MAX_FIELD}")
        )
    return Condition(message.field, _test(path, message))


def _test(path: str, message: filter_pb2.Condition) -> Test:
    match message.WhichOneof("test"):
        case "equals":
            return Equals(*_operand(f"{path}.equals", message.equals))
        case "in":
            # A keyword of Python.
            return _in(f"{path}.in", getattr(message, "in"))
        case "range":
            return _range(f"{path}.range", message.range)
        case "exists":
            return Exists(message.exists)
    raise InvalidArgument(Violation(path, "is neither equals nor in nor range nor exists"))


def _in(path: str, message: filter_pb2.OperandList) -> In:
    if not 1 <= len(message.values) <= MAX_OPERANDS:
        raise InvalidArgument(
            Violation(
                f"{path}.values", f"holds {len(message.values)} elements, not 1 to {MAX_OPERANDS}"
            )
        )
    paths = [f"{path}.values[{position}]" for position in range(len(message.values))]
    operands = [_operand(*pair) for pair in zip(paths, message.values, strict=True)]
    kind = _one_kind(paths, operands)
    return In(kind, frozenset(value for _, value in operands))


def _range(path: str, message: filter_pb2.Range) -> Range:
    names = [name for name in BOUNDS if message.HasField(name)]
    if not names:
        raise InvalidArgument(Violation(path, f"has none of {', '.join(BOUNDS)}"))
    paths = [f"{path}.{name}" for name in names]
    operands = [_operand(p, getattr(message, name)) for p, name in zip(paths, names, strict=True)]
    for bound, (kind, _) in zip(paths, operands, strict=True):
        if kind not in (Kind.NUMBER, Kind.TIME):
            raise InvalidArgument(Violation(bound, f"is {kind.value}, not a number or a time"))
    kind = _one_kind(paths, operands)
    bounds = {
        name: float(v) if kind is Kind.NUMBER else int(v)
        for name, (_, v) in zip(names, operands, strict=True)
    }
    return Range(kind, **bounds)


def _one_kind(paths: Sequence[str], operands: Sequence[tuple[Kind, Value]]) -> Kind:
    first, _ = operands[0]
    for path, (kind, _) in zip(paths, operands, strict=True):
        if kind is not first:
            raise InvalidArgument(
                Violation(path, f"is {kind.value}, but {paths[0]} is {first.value}")
            )
    return first


def _operand(path: str, message: filter_pb2.Operand) -> tuple[Kind, Value]:
    match message.WhichOneof("kind"):
        case "text":
            if len(message.text) > MAX_OPERAND:
                raise InvalidArgument(
                    Violation(
                        f"{path}.text", f"is {len(message.text)} characters, over {MAX_OPERAND}"
                    )
                )
            return Kind.TEXT, message.text
        case "number":
            if not math.isfinite(message.number):
                raise InvalidArgument(Violation(f"{path}.number", f"is {message.number}"))
            return Kind.NUMBER, message.number
        case "flag":
            return Kind.FLAG, message.flag
        case "time":
            try:
                return Kind.TIME, message.time.ToMicroseconds()
            except ValueError as error:
                raise InvalidArgument(Violation(f"{path}.time", f"is no time: {error}")) from None
    raise InvalidArgument(Violation(path, "is neither text nor number nor flag nor time"))
