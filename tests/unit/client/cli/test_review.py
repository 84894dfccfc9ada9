"""What `longtail review` asks for and shows."""

import json
from datetime import UTC, datetime

import pytest
from longtail.client import LongtailClient
from longtail.v1.decision_pb2 import DECISION_KIND_BLOCK, DECISION_KIND_HIDE, DECISION_KIND_PENALISE
from longtail.v1.review_service_pb2 import DecideItemsRequest, ListDecisionsRequest

from tests.unit.client.cli.command_line import row, run
from tests.unit.client.fake import Fake

BY = ("--author", "ann", "--reason", "spam")


def decided(fake: Fake) -> DecideItemsRequest:
    (request,) = fake.requests
    assert isinstance(request, DecideItemsRequest)
    return request


@pytest.mark.parametrize("kind", ["approve", "hide", "submit", "block"])
def test_a_command_for_each_kind_of_decision(fake: Fake, kind: str) -> None:
    done = run("review", kind, "1", *BY, address=fake.address)

    assert (done.exit_code, done.stdout) == (0, "decided about 1 items at revision 9\n")
    request = decided(fake)
    assert request == DecideItemsRequest(
        item_ids=["1"],
        kind=f"DECISION_KIND_{kind.upper()}",
        author="ann",
        reason="spam",
        request_id=request.request_id,
    )
    assert request.request_id


def test_a_penalty_and_a_term_are_asked_for(fake: Fake) -> None:
    options = ("--penalty", "0.5", "--until", "2027-01-15T08:00:00Z")
    done = run("review", "penalise", "1", "1", *options, *BY, "--json", address=fake.address)

    assert json.loads(done.stdout)["revision"] == "9"
    request = decided(fake)
    assert (request.kind, request.penalty) == (DECISION_KIND_PENALISE, 0.5)
    assert request.expire_time.ToDatetime(UTC) == datetime(2027, 1, 15, 8, tzinfo=UTC)


def test_who_is_not_there_is_told(fake: Fake) -> None:
    done = run("review", "hide", "1", "7", *BY, address=fake.address)

    assert done.exit_code == 1
    assert done.stdout == "decided about 1 items at revision 9\n"
    assert done.stderr == "longtail: no item '7'\n"
    assert decided(fake).kind == DECISION_KIND_HIDE


@pytest.mark.parametrize(
    "arguments",
    [
        ("hide", "1", "--author", "ann"),
        ("hide", *BY),
        ("hide", "1", *BY, "--until", "soon"),
        ("penalise", "1", *BY),
        ("history", "--kind", "forgive"),
    ],
)
def test_what_is_missing_or_unknown_sends_nothing(fake: Fake, arguments: tuple[str, ...]) -> None:
    assert run("review", *arguments, address=fake.address).exit_code == 2
    assert not fake.requests


def test_the_queue_is_listed_over_its_pages(fake: Fake) -> None:
    table = run("review", "list", address=fake.address).stdout
    assert row(table, "One", "bob").endswith("[bold]look")
    assert row(table, "Two")
    several = json.loads(run("review", "list", "--json", address=fake.address).stdout)
    assert [each["item"]["id"] for each in several] == ["1", "2"]
    fake.requests.clear()
    one = json.loads(run("review", "list", "--limit", "1", "--json", address=fake.address).stdout)
    assert ([each["item"]["id"] for each in one], len(fake.requests)) == (["1"], 1)


def test_history_is_of_an_item_of_a_kind_or_of_what_counts(fake: Fake) -> None:
    table = run("review", "history", address=fake.address).stdout
    assert row(table, "penalise 25%", "ann", "2027-01-15T08:00:00Z", "yes").endswith("bait")
    run("review", "history", "1", "--kind", "block", "--in-force", address=fake.address)

    everything, some = fake.requests
    assert everything == ListDecisionsRequest(page_size=100)
    assert some == ListDecisionsRequest(
        item_id="1", kind=DECISION_KIND_BLOCK, in_force=True, page_size=100
    )


def test_a_kind_that_is_none_is_refused_before_it_is_sent(fake: Fake) -> None:
    with LongtailClient(fake.address) as client, pytest.raises(ValueError, match="FORGIVE"):
        client.decide_items(["1"], "forgive", author="ann", reason="spam")
    assert not fake.requests
