"""From rule messages to pins, boosts and buries: each limit of the contract."""

from collections.abc import Hashable, Sequence
from typing import TypeVar

from longtail.runtime.errors import InvalidArgument, Violation
from longtail.server.recommend.request import OddsRule, PinRule
from longtail.server.rpc.read.counts import check_count
from longtail.server.rpc.read.fields import check_id, check_number, check_text, told
from longtail.server.rpc.read.filter import filter_of
from longtail.v1 import recommendation_service_pb2 as pb

K = TypeVar("K", bound=Hashable)

MAX_RULES = 20
MAX_RULE_ITEMS = 1000
MAX_NAME = 64
MAX_FACTOR = 1000.0


def rules_of(messages: Sequence[pb.Rule]) -> tuple[tuple[OddsRule, ...], tuple[PinRule, ...]]:
    """Return the rules on the odds and the pins, each in the order of the request.

    Raises InvalidArgument naming the first field that is wrong. Whether a list is long enough for
    its pins is left to `check_places`.
    """
    check_count("rules", messages, MAX_RULES)
    odds: list[OddsRule] = []
    pins: list[PinRule] = []
    places: dict[int, str] = {}
    pinned: dict[str, str] = {}
    for at, message in enumerate(messages):
        path = f"rules[{at}]"
        check_text(f"{path}.name", message.name, MAX_NAME)
        if message.WhichOneof("action") == "pin":
            pin = _pin(path, message)
            _check_first(places, pin.place, path, f"{path}.pin.position")
            _check_first(pinned, pin.item_id, path, f"{path}.pin.item_id")
            pins.append(pin)
        else:
            odds.append(_odds_rule(at, message))
    return tuple(odds), tuple(pins)


def check_places(messages: Sequence[pb.Rule], page_size: int) -> None:
    """Refuse a pin to a place that a list of `page_size` has not."""
    for at, message in enumerate(messages):
        position = message.pin.position
        if position > page_size:
            raise InvalidArgument(
                Violation(f"rules[{at}].pin.position", f"is {position}, over page_size {page_size}")
            )


def _pin(path: str, message: pb.Rule) -> PinRule:
    for name, given in (("filter", message.HasField("filter")), ("item_ids", message.item_ids)):
        if given:
            raise InvalidArgument(Violation(f"{path}.{name}", "is not for a pin"))
    if message.pin.position == 0:
        raise InvalidArgument(Violation(f"{path}.pin.position", "is zero; places count from 1"))
    item_id = check_id(f"{path}.pin.item_id", message.pin.item_id)
    return PinRule(message.name, item_id, message.pin.position - 1)


def _odds_rule(position: int, message: pb.Rule) -> OddsRule:
    path = f"rules[{position}]"
    match message.WhichOneof("action"):
        case "boost":
            factor = _above_one(f"{path}.boost", message.boost)
        case "bury":
            factor = 1 / _above_one(f"{path}.bury", message.bury)
        case _:
            raise InvalidArgument(Violation(path, "is neither pin nor boost nor bury"))
    wanted = filter_of(message.filter, f"{path}.filter")
    if wanted is not None and message.item_ids:
        raise InvalidArgument(Violation(f"{path}.item_ids", "stands beside filter"))
    if wanted is None and not message.item_ids:
        raise InvalidArgument(Violation(path, "has neither filter nor item_ids"))
    check_count(f"{path}.item_ids", message.item_ids, MAX_RULE_ITEMS)
    item_ids = (
        check_id(f"{path}.item_ids[{at}]", item_id) for at, item_id in enumerate(message.item_ids)
    )
    return OddsRule(message.name, factor, wanted, frozenset(item_ids), position)


def _above_one(field: str, factor: float) -> float:
    # Written so that NaN is refused too.
    if not factor > 1:
        raise InvalidArgument(Violation(field, f"is {told(factor)}, not above 1"))
    return check_number(field, factor, 1, MAX_FACTOR)


def _check_first(first: dict[K, str], key: K, path: str, field: str) -> None:
    if (other := first.setdefault(key, path)) != path:
        raise InvalidArgument(Violation(field, f"is that of {other} too"))
