"""What `longtail items update` makes of its options."""

import json

import pytest
from google.protobuf.json_format import MessageToDict
from longtail.client import attributes_of
from longtail.client.cli.item_changes import change


@pytest.mark.parametrize(
    ("assigned", "attributes"),
    [
        ("attributes.a=1977", '{"a": 1977}'),
        ("attributes.a=1977.5", '{"a": 1977.5}'),
        ("attributes.a=true", '{"a": true}'),
        ('attributes.a="true"', '{"a": "true"}'),
        ("attributes.a=9007199254740991", '{"a": 9007199254740991}'),
        ("attributes.a=9007199254740993", '{"a": "9007199254740993"}'),
        ('attributes={"a": [1, false]}', '{"a": [1, false]}'),
    ],
)
def test_an_attribute_is_of_the_type_that_it_looks_like(assigned: str, attributes: str) -> None:
    item, _ = change("7", [assigned], [])
    assert json.dumps(attributes_of(item)) == attributes


def test_assigned_and_cleared_fields_are_named() -> None:
    item, fields = change(
        "7",
        [
            "state=hidden",
            "title=a=b",
            "penalty=0.5",
            "attributes.year=1999",
            'attributes.tags=["x"]',
        ],
        ["available_until"],
    )

    assert MessageToDict(item) == {
        "id": "7",
        "title": "a=b",
        "state": "STATE_HIDDEN",
        "penalty": 0.5,
        "attributes": {"year": 1999.0, "tags": ["x"]},
    }
    assert fields == [
        "state",
        "title",
        "penalty",
        "attributes.year",
        "attributes.tags",
        "available_until",
    ]


@pytest.mark.parametrize(
    ("assigned", "cleared", "message"),
    [
        ([], [], "nothing"),
        (["title"], [], "no FIELD=VALUE"),
        (["size=1"], [], "no field 'size'"),
        ([], ["attributes."], "no field"),
        (["title=a"], ["title"], "named twice: title"),
        (["state=gone"], [], "state cannot be 'gone'"),
        (["available_from=soon"], [], "available_from cannot be 'soon'"),
        (["attributes.a=[1"], [], "attributes.a cannot be"),
        (["attributes.a=[9007199254740993]"], [], "attributes.a cannot be"),
        (["attributes=[1]"], [], "attributes cannot be"),
        (["popularity_prior=many"], [], "popularity_prior cannot be 'many'"),
        (["penalty=some"], [], "penalty cannot be 'some'"),
    ],
)
def test_a_change_of_no_use_says_why(assigned: list[str], cleared: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        change("7", assigned, cleared)
