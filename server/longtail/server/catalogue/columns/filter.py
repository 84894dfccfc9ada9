"""Conditions on attributes as plain values. The contract's filter.proto says what they mean."""

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """The type of an operand; the value is how a message names it."""

    TEXT = "a text"
    NUMBER = "a number"
    FLAG = "a truth value"
    TIME = "a time"


# Of a text str, of a number float, of a truth value bool, of a time int: microseconds since the
# epoch. Python holds 1, 1.0 and True to be equal, so a value never goes without its kind.
Value = str | float | bool


@dataclass(frozen=True)
class Equals:
    """The attribute is this."""

    kind: Kind
    value: Value

    @property
    def values(self) -> tuple[Value]:
        """Return the value as the only one of several."""
        return (self.value,)


@dataclass(frozen=True)
class In:
    """The attribute is one of these."""

    kind: Kind
    values: frozenset[Value]


@dataclass(frozen=True)
class Range:
    """The attribute lies between these; of kind NUMBER or TIME, a bound that is None is open."""

    kind: Kind
    at_least: float | None = None
    at_most: float | None = None
    more_than: float | None = None
    less_than: float | None = None


@dataclass(frozen=True)
class Exists:
    """Whether the attribute is there at all."""

    wanted: bool


Test = Equals | In | Range | Exists


@dataclass(frozen=True)
class Condition:
    """A test of the attribute with the dotted path `field`."""

    field: str
    test: Test


@dataclass(frozen=True)
class Filter:
    """Every one of `all_of`, one of `any_of` unless that is empty, and none of `none_of`."""

    all_of: tuple[Condition, ...] = ()
    any_of: tuple[Condition, ...] = ()
    none_of: tuple[Condition, ...] = ()

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Return the conditions of all three."""
        return self.all_of + self.any_of + self.none_of

    @property
    def cost(self) -> int:
        """Return about how many times an attribute is compared."""
        return len(self.conditions) + len(self.operands)

    @property
    def operands(self) -> list[Value]:
        """Return the values that attributes may be, of all conditions."""
        tests = [condition.test for condition in self.conditions]
        return [value for test in tests if isinstance(test, Equals | In) for value in test.values]


class FilterTypeError(ValueError):
    """An operand is of a type that the attribute holds nowhere.

    `path` says which, as seen from the filter, such as `all_of[2].equals`; `message` what is wrong.
    """

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path
        self.message = message
