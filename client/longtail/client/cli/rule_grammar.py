"""Reads caps and rules as the command line writes them.

    cap   = name "=" limit           genres=2
    pin   = item "@" position        50@1
    boost = factor ":" test          2:genres=Comedy       test: see `where_grammar`

A rule is named by what was written, so that it is found again in explanations.
"""

from collections.abc import Callable

from longtail.client.calls import messages
from longtail.client.cli.where_grammar import filter_from, read_requirement
from longtail.v1.recommendation_service_pb2 import AttributeCap, Rule

NAME_CHARACTERS = 64


def read_cap(text: str) -> AttributeCap:
    """Return the cap that a text is; ValueError says what is wrong with it."""
    field, _, limit = text.rpartition("=")
    if not field or not limit.strip().isdecimal():
        raise ValueError(f"{text!r} is no NAME=LIMIT, such as genres=2")
    return AttributeCap(field=field.strip(), limit=int(limit))


def read_pin(text: str) -> Rule:
    """Return the pin that a text is; ValueError says what is wrong with it."""
    item_id, _, position = text.rpartition("@")
    if not item_id or not position.isdecimal():
        raise ValueError(f"{text!r} is no ITEM@POSITION, such as 50@1")
    return messages.pin(item_id, int(position), name=text[:NAME_CHARACTERS])


def read_boost(text: str) -> Rule:
    """Return the boost that a text is; ValueError says what is wrong with it."""
    return _weighted(text, messages.boost)


def read_bury(text: str) -> Rule:
    """Return the bury that a text is; ValueError says what is wrong with it."""
    return _weighted(text, messages.bury)


def _weighted(text: str, rule: Callable[..., Rule]) -> Rule:
    number, _, test = text.partition(":")
    try:
        factor = float(number)
    except ValueError:
        raise ValueError(f"{text!r} is no FACTOR:TEST, such as 2:genres=Comedy") from None
    items = filter_from([read_requirement(test)])
    return rule(factor, where=items, name=text[:NAME_CHARACTERS])
