"""The builders of rules, interactions, requests and policies."""

import inspect
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from google.protobuf.json_format import MessageToDict
from longtail.client import (
    boost,
    bury,
    example,
    filter_of,
    interaction,
    named_vectors,
    pack_vector,
    pin,
    policy,
    recommend_request,
    where,
)
from longtail.client.calls.recommend_request import RecommendOptions
from longtail.v1.item_pb2 import Item
from longtail.v1.recommendation_service_pb2 import RecommendRequest, Rule

NOIR = where("genres").equals("Film-Noir")


def test_a_pin_is_one_item_and_its_place() -> None:
    assert MessageToDict(pin("50", 3, name="premiere")) == {
        "name": "premiere",
        "pin": {"itemId": "50", "position": 3},
    }


@pytest.mark.parametrize(("build", "action"), [(boost, "boost"), (bury, "bury")])
def test_a_factor_is_for_a_filter_for_a_condition_or_for_items(
    build: Callable[..., Rule], action: str
) -> None:
    by_filter = build(2, where=filter_of(none_of=[NOIR]))
    by_condition = build(2, where=NOIR)
    by_items = build(3, item_ids=(item_id for item_id in "12"))

    assert by_filter.WhichOneof("action") == by_items.WhichOneof("action") == action
    assert (getattr(by_filter, action), getattr(by_items, action)) == (2, 3)
    assert list(by_filter.filter.none_of) == list(by_condition.filter.all_of) == [NOIR]
    assert list(by_items.item_ids) == ["1", "2"]
    assert not by_items.HasField("filter")
    with pytest.raises(ValueError, match="where or of item_ids"):
        build(2)


def test_vectors_in_spaces_are_lists_or_arrays() -> None:
    image = np.array([0.5, -1], np.float64)
    given = named_vectors({"image": image, "sound": [2, 3], "sent": pack_vector([4])})
    assert [(each.name, np.frombuffer(each.vector, "<f4").tolist()) for each in given] == [
        ("image", [0.5, -1]),
        ("sound", [2, 3]),
        ("sent", [4]),
    ]
    assert Item(id="1", extra_vectors=given).extra_vectors[1] == given[1]
    wanted = example(vector=image, space="image", weight=-1)
    assert (wanted.vector, wanted.space) == (pack_vector([0.5, -1]), "image")
    assert example(item_id="1", space="image").space == "image"


def test_an_interaction_says_which_list_led_to_it_and_when() -> None:
    moment = datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=1)))
    message = interaction(
        "u", "7", "view", value=-1, time=moment, recommendation_token="t", event_id="e"
    )

    assert MessageToDict(message) == {
        "eventId": "e",
        "userId": "u",
        "itemId": "7",
        "type": "view",
        "value": -1.0,
        "time": "2026-01-02T02:00:00Z",
        "recommendationToken": "t",
    }


def test_an_interaction_without_an_event_id_gets_its_own() -> None:
    first, second = (interaction("u", "7", "view") for _ in range(2))

    assert uuid.UUID(first.event_id) != uuid.UUID(second.event_id)
    assert not first.HasField("value")
    assert not first.HasField("time")


def test_a_request_says_all_that_is_wished() -> None:
    request = recommend_request(
        "space opera",
        user_id="u",
        diversity=0.3,
        caps={"genres": 2, "made.by": 1},
        explore=2,
        explore_max_popularity=0,
        rules=[pin("50", 1)],
        rotation=0.5,
        rotation_half_life=timedelta(hours=6),
        seed=0,
        page_token="next",
        relevance_budget=0,
        tail=0.4,
        coverage=0,
        taste=1,
    )

    assert MessageToDict(request, preserving_proto_field_name=True) == {
        "query": "space opera",
        "user_id": "u",
        "exclude": {},
        "long_tail": {"relevance_budget": 0.0, "tail": 0.4, "coverage": 0.0, "taste": 1.0},
        "explain": "EXPLAIN_FULL",
        "diversity": {
            "strength": 0.3,
            "caps": [{"field": "genres", "limit": 2}, {"field": "made.by", "limit": 1}],
        },
        "exploration": {"slots": 2, "max_popularity": 0.0},
        "rules": [{"pin": {"item_id": "50", "position": 1}}],
        "rotation": {"rate": 0.5, "half_life": "21600s"},
        "seed": "0",
        "page_token": "next",
    }


def test_what_is_not_wished_is_not_sent() -> None:
    request = recommend_request()

    assert request == RecommendRequest(exclude={}, explain="EXPLAIN_FULL")
    assert not request.HasField("seed")


def test_the_passed_on_arguments_are_those_of_the_request() -> None:
    parameters = set(inspect.signature(recommend_request).parameters)

    assert set(RecommendOptions.__annotations__) == parameters - {"query"}


def test_a_misspelt_argument_is_refused() -> None:
    with pytest.raises(TypeError, match="strenght"):
        recommend_request(strenght=0.3)  # type: ignore[call-arg]


def test_a_policy_replaces_only_the_groups_that_it_names() -> None:
    assert MessageToDict(policy()) == {}
    assert MessageToDict(policy(coverage=0)) == {"longTail": {"coverage": 0.0}}
    assert MessageToDict(policy(strength=0)) == {"longTail": {"strength": 0.0}}
    assert MessageToDict(policy(caps={"genres": 2}, explore=0)) == {
        "diversity": {"caps": [{"field": "genres", "limit": 2}]},
        "exploration": {},
    }
    assert MessageToDict(policy(explore_max_popularity=5)) == {"exploration": {"maxPopularity": 5}}


def test_a_time_without_a_zone_is_utc() -> None:
    naive, aware = datetime(2026, 1, 2), datetime(2026, 1, 2, tzinfo=UTC)

    assert (
        interaction("u", "7", "view", time=naive).time
        == interaction("u", "7", "view", time=aware).time
    )
