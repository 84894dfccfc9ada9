"""Filters, as Python writes them."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from google.protobuf.json_format import MessageToDict
from longtail.client import where
from longtail.v1.filter_pb2 import Condition

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_truth_value_is_no_number() -> None:
    assert where("a").equals(True).equals.WhichOneof("kind") == "flag"
    assert where("a").equals(1).equals.WhichOneof("kind") == "number"


def test_a_time_without_a_zone_is_utc() -> None:
    naive = datetime(2026, 1, 1)
    assert where("a").equals(naive) == where("a").equals(NEW_YEAR)


def test_an_absent_attribute_can_be_asked_for() -> None:
    assert MessageToDict(where("a").missing()) == {"field": "a", "exists": False}


@pytest.mark.parametrize(
    "build",
    [
        lambda: where("a").one_of(),
        lambda: where("a").one_of(1, True),
        lambda: where("a").between(),
        lambda: where("a").between(at_least=1, less_than=NEW_YEAR),
    ],
    ids=["no value", "two types", "no bound", "two types of bounds"],
)
def test_operands_of_no_use_are_refused(build: Callable[[], Condition]) -> None:
    with pytest.raises(ValueError, match="one or more"):
        build()


def test_an_integer_that_would_be_rounded_is_compared_as_text() -> None:
    for build in (where("id").equals, where("id").one_of):
        with pytest.raises(ValueError, match=r"9007199254740993 .* as text"):
            build(2**53 + 1)
    with pytest.raises(ValueError, match="as text"):
        where("id").between(at_least=-(2**53))
    assert where("id").equals(2**53 - 1).equals.number == 2**53 - 1
