"""Deadlines, retries and errors of the sync and the asyncio client, against real gRPC."""

import json
import time
from collections.abc import Iterator
from importlib.resources import files

import grpc
import pytest
from longtail.client import AsyncLongtailClient, LongtailClient, LongtailError, interaction
from longtail.client.calls.channel import AddressError, channel_options, check_address
from longtail.runtime.errors import InvalidArgument, NotFound, Overloaded, Unavailable, Violation
from longtail.v1.item_pb2 import Item

from tests.unit.client.fake_server import Fake


def test_the_deadline_is_the_clients_unless_the_call_has_its_own(fake: Fake) -> None:
    with LongtailClient(fake.address, timeout=30) as client:
        client.recommend()
        client.recommend(timeout=15)

    of_client, of_call = fake.timeouts
    assert of_client is not None
    assert of_call is not None
    # gRPC rounds up what it sends.
    assert 16 < of_client < 31
    assert 0 < of_call < 16


def test_a_deadline_that_passes_is_an_error(fake: Fake) -> None:
    fake.before_answer = lambda: time.sleep(1)
    with (
        LongtailClient(fake.address, timeout=0.05) as client,
        pytest.raises(LongtailError) as caught,
    ):
        client.recommend()

    assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_unavailable_is_retried_three_times(fake: Fake) -> None:
    fake.failures = [Unavailable("away")] * 3
    with LongtailClient(fake.address) as client:
        client.recommend()
    assert len(fake.requests) == 4

    fake.failures = [Unavailable("away")] * 3
    async with AsyncLongtailClient(fake.address) as asynchronous:
        await asynchronous.recommend()
    assert len(fake.requests) == 8


async def test_what_goes_wrong_where_a_stream_is_made_is_the_callers(fake: Fake) -> None:
    def items() -> Iterator[Item]:
        yield Item(id="1", title="One")
        raise KeyError("title")

    with LongtailClient(fake.address) as client, pytest.raises(KeyError, match="title"):
        client.import_items(items())
    async with AsyncLongtailClient(fake.address) as asynchronous:
        with pytest.raises(KeyError, match="title"):
            await asynchronous.import_items(items())


def test_an_argument_of_no_use_is_named(fake: Fake) -> None:
    with LongtailClient(fake.address) as client:
        for wrong in (
            lambda: client.recommend(user_id=42),  # type: ignore[arg-type]
            lambda: client.delete_user_data(42),  # type: ignore[arg-type]
            lambda: interaction(42, "1", "view"),  # type: ignore[arg-type]
        ):
            with pytest.raises(TypeError, match="user_id: 42 is no str"):
                wrong()
        with pytest.raises(ValueError, match="min_revision: -1 is no int"):
            client.recommend(min_revision=-1)
    assert not fake.requests


def test_unavailable_for_longer_is_an_error(fake: Fake) -> None:
    fake.failures = [Unavailable("away")] * 5
    with LongtailClient(fake.address) as client, pytest.raises(LongtailError) as caught:
        client.recommend()

    assert len(fake.requests) == 4
    assert caught.value.reason == "UNAVAILABLE"


@pytest.mark.parametrize(
    "failure", [NotFound("item", "7"), Overloaded("full", retry_seconds=1)], ids=lambda f: f.reason
)
def test_nothing_else_is_retried(fake: Fake, failure: NotFound | Overloaded) -> None:
    fake.failures = [failure]
    with LongtailClient(fake.address) as client, pytest.raises(LongtailError):
        client.recommend()

    assert len(fake.requests) == 1


async def test_errors_carry_what_the_server_says(fake: Fake) -> None:
    bad = InvalidArgument(Violation("page_size", "below zero"), Violation("query", "too long"))
    fake.failures = [bad, Overloaded("full", retry_seconds=0.25)]
    with LongtailClient(fake.address) as client, pytest.raises(LongtailError) as refused:
        client.recommend(page_size=-1)
    async with AsyncLongtailClient(fake.address) as asynchronous:
        with pytest.raises(LongtailError) as overloaded:
            await asynchronous.recommend()

    assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert [(v.field, v.description) for v in refused.value.violations] == [
        ("page_size", "below zero"),
        ("query", "too long"),
    ]
    assert refused.value.retry_after is None
    assert overloaded.value.reason == "OVERLOADED"
    assert overloaded.value.retry_after == 0.25


def test_a_write_repeated_by_grpc_has_one_request_id(fake: Fake) -> None:
    fake.failures = [Unavailable("away")]
    with LongtailClient(fake.address) as client:
        client.upsert_items([Item(id="1")])
        client.upsert_items([Item(id="1")])
        client.upsert_items([Item(id="1")], request_id="mine")

    first, repeated, other, own = [each.request_id for each in fake.requests]  # type: ignore[attr-defined]
    assert first == repeated
    assert len({"", first, other}) == 3
    assert own == "mine"


def test_the_shipped_service_config_retries_unavailable_only() -> None:
    config = json.loads(files("longtail.client.calls").joinpath("service_config.json").read_text())

    (method,) = config["methodConfig"]
    assert method["name"] == [{}]
    assert method["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]
    assert method["retryPolicy"]["maxAttempts"] == 4


def test_no_server_of_grpc_hangs_up_on_the_pings() -> None:
    options = dict(channel_options("127.0.0.1:1"))

    # What a server allows that says nothing of it itself, whether or not a call is waiting.
    assert int(options["grpc.keepalive_time_ms"]) >= 5 * 60 * 1000
    assert "grpc.keepalive_permit_without_calls" not in options


@pytest.mark.parametrize(
    ("address", "said"),
    [("http://127.0.0.1:50051", "without the scheme"), ("localhost", "no port"), ("::1", "no port"),
     ("host:", "no port"), ("https://x", "without the scheme"), ("host:99999", "up to 65,535"),
     ("host:0", "up to 65,535")],
)  # fmt: skip
def test_an_address_that_leads_nowhere_is_said_to(address: str, said: str) -> None:
    with pytest.raises(AddressError, match=said):
        LongtailClient(address)


@pytest.mark.parametrize("address", ["[::1]:5", "unix:/tmp/s", "dns:///host:5", "ipv4:127.0.0.1:5"])
def test_what_grpc_resolves_itself_is_an_address(address: str) -> None:
    check_address(address)


def test_a_proxy_of_the_environment_is_for_other_machines(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    with LongtailClient(fake.address) as client:
        client.recommend()
    assert dict(channel_options("10.0.0.7:50051"))["grpc.enable_http_proxy"] == 1
