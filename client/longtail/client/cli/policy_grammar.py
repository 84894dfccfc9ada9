"""Reads a policy to be compared as the command line writes it.

    policy  = [name ":"] {setting "=" number}     strict: strength=0 cap.genres=2
    setting = an argument of `policy`, or "cap." and the name of an attribute

A policy without a name is named by its settings.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from longtail.client.calls.recommend_request import policy
from longtail.client.cli.rule_grammar import NAME_CHARACTERS
from longtail.v1.recommendation_service_pb2 import ComparedPolicy

_CAP = "cap."
_SETTINGS: Mapping[str, Callable[[str], float]] = {
    "strength": float,
    "min_tail_fraction": float,
    "relevance_budget": float,
    "tail": float,
    "coverage": float,
    "taste": float,
    "diversity": float,
    "explore": int,
    "explore_max_popularity": float,
}


@dataclass(frozen=True)
class NamedPolicy:
    """A policy and its name."""

    name: str
    policy: ComparedPolicy


def read_policy(text: str) -> NamedPolicy:
    """Return the policy that a text is; ValueError says what is wrong with it."""
    name, colon, settings = text.partition(":")
    # A colon behind a "=" is of an attribute's name.
    if not colon or "=" in name:
        name, settings = "", text
    name = name.strip() or " ".join(settings.split())[:NAME_CHARACTERS]
    if not name:
        raise ValueError("a policy needs a name or a setting")
    # Whole numbers where the setting is one, so no one type that `policy` could check.
    given: dict[str, Any] = {}
    caps: dict[str, int] = {}
    for setting in settings.split():
        key, _, value = setting.partition("=")
        attribute = key.removeprefix(_CAP)
        try:
            if attribute != key:
                caps[attribute] = int(value)
            else:
                given[key] = _SETTINGS[key](value)
        except (KeyError, ValueError):
            raise ValueError(
                f"{setting!r} is no SETTING=NUMBER; settings are {', '.join(_SETTINGS)} and "
                f"{_CAP}ATTRIBUTE"
            ) from None
    return NamedPolicy(name, policy(caps=caps, **given))
