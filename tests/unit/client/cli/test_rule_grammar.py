"""Caps, rules and policies, as the command line writes them."""

from collections.abc import Callable

import pytest
from google.protobuf.json_format import MessageToDict
from longtail.client import boost, bury, filter_of, pin, policy, where
from longtail.client.cli.policy_grammar import read_policy
from longtail.client.cli.rule_grammar import read_boost, read_bury, read_cap, read_pin
from longtail.v1.recommendation_service_pb2 import AttributeCap, ComparedPolicy


def test_a_cap_has_its_limit_behind_the_last_equals_sign() -> None:
    assert read_cap("genres=2") == AttributeCap(field="genres", limit=2)
    assert read_cap("a=b = 3") == AttributeCap(field="a=b", limit=3)


def test_a_rule_is_named_by_what_was_written() -> None:
    comedy = where("genres").equals("Comedy")

    assert read_pin("a@b@3") == pin("a@b", 3, name="a@b@3")
    assert read_boost("1.5:genres=Comedy") == boost(1.5, where=comedy, name="1.5:genres=Comedy")
    assert read_bury("2:!genres=Comedy") == bury(
        2, where=filter_of(none_of=[comedy]), name="2:!genres=Comedy"
    )
    assert len(read_pin("i" * 70 + "@1").name) == 64


@pytest.mark.parametrize(
    ("text", "name", "settings"),
    [
        ("strict: strength=0", "strict", policy(strength=0)),
        (
            "strength=0.3  relevance_budget=0.02",
            "strength=0.3 relevance_budget=0.02",
            policy(strength=0.3, relevance_budget=0.02),
        ),
        ("as asked:", "as asked", policy()),
        ("types: cap.dc:type=2", "types", policy(caps={"dc:type": 2})),
        (
            "all: min_tail_fraction=0.5 diversity=0.1 explore=2 explore_max_popularity=9",
            "all",
            policy(min_tail_fraction=0.5, diversity=0.1, explore=2, explore_max_popularity=9),
        ),
    ],
)
def test_a_policy_has_a_name_and_settings(text: str, name: str, settings: ComparedPolicy) -> None:
    named = read_policy(text)

    assert named.name == name
    assert MessageToDict(named.policy) == MessageToDict(settings)


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (read_cap, "genres", "NAME=LIMIT"),
        (read_cap, "=2", "NAME=LIMIT"),
        (read_cap, "genres=-1", "NAME=LIMIT"),
        (read_cap, "genres=99999999999", "out of range"),
        (read_pin, "50", "ITEM@POSITION"),
        (read_pin, "@1", "ITEM@POSITION"),
        (read_pin, "50@first", "ITEM@POSITION"),
        (read_boost, "genres=Comedy", "FACTOR:TEST"),
        (read_bury, "2:genres", "NAME=VALUE"),
        (read_policy, " ", "a name or a setting"),
        (read_policy, "strict: mood=1", "'mood=1' is no SETTING=NUMBER"),
        (read_policy, "strength=high", "'strength=high' is no"),
        (read_policy, "strength", "'strength' is no"),
        (read_policy, "explore=0.5", "'explore=0.5' is no"),
        (read_policy, "explore=-1", "out of range"),
    ],
)
def test_what_cannot_be_read_says_why(
    read: Callable[[str], object], text: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read(text)
