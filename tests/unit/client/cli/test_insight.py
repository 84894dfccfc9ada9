"""What is said of exposure, popularity and penalties, and what of impressions is recorded."""

import json
from datetime import UTC, datetime, timedelta

from longtail.v1.insight_service_pb2 import GetExposureReportRequest
from longtail.v1.interaction_service_pb2 import RecordImpressionsRequest
from longtail.v1.item_pb2 import Item

from tests.unit.client.cli.command_line import row, run
from tests.unit.client.fake import Fake


def test_exposure_is_of_a_span_of_the_last_hours_or_of_the_servers_own(fake: Fake) -> None:
    before = datetime.now(UTC)
    hours = run("exposure", "--hours", "2", "--json", address=fake.address)
    run("exposure", address=fake.address)
    span = run(
        "exposure", "--start", "2026-01-01", "--end", "2026-01-02T10:00:00+01:00",
        address=fake.address,
    )  # fmt: skip

    recent, default, _ = fake.requests
    assert isinstance(recent, GetExposureReportRequest)
    asked = recent.start_time.ToDatetime(UTC) - (before - timedelta(hours=2))
    assert timedelta(0) <= asked < timedelta(minutes=1)
    assert default == GetExposureReportRequest()
    assert json.loads(hours.stdout)["coverage"] == 0.25
    assert row(span.stdout, "from", "2026-01-01T00:00:00Z")
    assert row(span.stdout, "until", "2026-01-02T09:00:00Z")
    assert row(span.stdout, "shares", "head 20.0%, mid 50.0%, tail 30.0%")


def test_popularity_is_shown_by_type(fake: Fake) -> None:
    done = run("items", "popularity", "1", address=fake.address)

    assert row(done.stdout, "bucket").endswith("tail")
    assert row(done.stdout, "view", "12", "6.5")
    assert "NOT_FOUND" in str(run("items", "popularity", "2", address=fake.address).exception)


def test_a_penalty_is_listed_shown_and_set(fake: Fake) -> None:
    fake.items = {"1": Item(id="1", title="One", penalty=0.25)}
    listed = run("items", "list", address=fake.address).stdout
    got = run("items", "get", "1", address=fake.address).stdout
    changed = run("items", "update", "1", "--set", "penalty=0.5", address=fake.address).stdout

    assert row(listed, "One").endswith("0.25")
    assert row(got, "penalty").endswith("0.25")
    assert row(changed, "penalty").endswith("0.5")


def test_what_was_shown_is_recorded(fake: Fake) -> None:
    done = run("interactions", "shown", "token", "7", "8", address=fake.address)

    assert done.stdout == "recorded 2 impressions at revision 8\n"
    (request,) = fake.requests
    assert isinstance(request, RecordImpressionsRequest)
    assert request.recommendation_token == "token"
    assert [each.item_id for each in request.impressions] == ["7", "8"]


def test_who_is_forgotten_loses_impressions_too(fake: Fake) -> None:
    done = run("user", "delete", "u", address=fake.address)

    removed, follow = done.stdout.rstrip().split("; ")
    assert removed == "removed 3 interactions and 2 impressions of u at revision 8"
    assert follow == "`longtail admin operation o1 --wait` follows what erases them from copies"


def test_a_snapshot_is_deleted(fake: Fake) -> None:
    done = run("admin", "snapshot", "delete", "s1", address=fake.address)
    assert done.stdout == "deleted s1, 2.0 MB\n"
