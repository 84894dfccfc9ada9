import base64
from typing import TypeVar
from urllib.parse import quote

import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc import StatusCode
from grpc_status import rpc_status
from longtail.runtime.errors import (
    DOMAIN,
    AnswerTooLarge,
    DeadlineExceeded,
    FailedPrecondition,
    InferenceFailed,
    InvalidArgument,
    NotFound,
    Overloaded,
    ServiceError,
    StorageFull,
    Unavailable,
    Violation,
    cut,
)

M = TypeVar("M", bound=Message)


def detail(error: ServiceError, kind: type[M]) -> M:
    """Return the one detail of a kind, as a client unpacks it."""
    found = [any_ for any_ in error.status().details if any_.Is(kind.DESCRIPTOR)]
    assert len(found) == 1
    message = kind()
    found[0].Unpack(message)
    return message


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (InvalidArgument(Violation("a", "b")), StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"),
        (NotFound("item", "film"), StatusCode.NOT_FOUND, "NOT_FOUND"),
        (FailedPrecondition("x"), StatusCode.FAILED_PRECONDITION, "FAILED_PRECONDITION"),
        (Overloaded("x", retry_seconds=1), StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED"),
        (StorageFull("x"), StatusCode.RESOURCE_EXHAUSTED, "STORAGE_FULL"),
        (AnswerTooLarge("x"), StatusCode.RESOURCE_EXHAUSTED, "ANSWER_TOO_LARGE"),
        (Unavailable("x"), StatusCode.UNAVAILABLE, "UNAVAILABLE"),
        (DeadlineExceeded("x"), StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"),
        (InferenceFailed("x"), StatusCode.INTERNAL, "INFERENCE_FAILED"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, ServiceError) else None,
)
def test_carries_its_status_and_reason(error: ServiceError, code: StatusCode, reason: str) -> None:
    status = error.status()
    assert status.code == code.value[0]
    assert status.message == str(error) != ""
    info = detail(error, error_details_pb2.ErrorInfo)
    assert (info.reason, info.domain) == (reason, DOMAIN)


def test_an_invalid_argument_names_every_field() -> None:
    error = InvalidArgument(Violation("id", "is empty"), Violation("vector", "is all zero"))
    assert str(error) == "id: is empty; vector: is all zero"
    violations = detail(error, error_details_pb2.BadRequest).field_violations
    assert [(v.field, v.description) for v in violations] == [
        ("id", "is empty"),
        ("vector", "is all zero"),
    ]


def test_a_violation_seen_from_outside() -> None:
    assert Violation("vector", "is all zero").inside("items[3]") == Violation(
        "items[3].vector", "is all zero"
    )


def test_what_is_missing_is_named() -> None:
    error = NotFound("item", "a 'film'")
    resource = detail(error, error_details_pb2.ResourceInfo)
    assert (resource.resource_type, resource.resource_name) == ("item", "a 'film'")


@pytest.mark.parametrize(("seconds", "parts"), [(0.1, (0, 100_000_000)), (2.5, (2, 500_000_000))])
def test_an_overload_says_when_to_try_again(seconds: float, parts: tuple[int, int]) -> None:
    delay = detail(Overloaded("x", retry_seconds=seconds), error_details_pb2.RetryInfo).retry_delay
    assert (delay.seconds, delay.nanos) == parts


LONG = "\N{SNOWMAN}" * 100_000
ECHOES = [
    InvalidArgument(*(Violation(f"field[{n}].{LONG}", f"is {LONG}") for n in range(50))),
    InvalidArgument(
        *(Violation(f"items[{n}].id", "holds a control character") for n in range(1000))
    ),
    NotFound("item", LONG),
    FailedPrecondition(LONG),
    Overloaded(LONG, retry_seconds=1),
]


@pytest.mark.parametrize("error", ECHOES, ids=lambda error: type(error).__name__)
def test_what_is_echoed_leaves_room_for_the_code(error: ServiceError) -> None:
    rich = rpc_status.to_status(error.status())
    [(_, details)] = rich.trailing_metadata
    assert isinstance(details, bytes)
    encoded = len(quote(rich.details)) + len(base64.b64encode(details))
    assert encoded < 8000
    assert rich.details.endswith("\N{HORIZONTAL ELLIPSIS}")
    assert str(error).startswith(rich.details[:-1])


def test_the_first_violations_of_many_are_named() -> None:
    named = detail(ECHOES[1], error_details_pb2.BadRequest).field_violations
    assert 20 < len(named) < 1000
    assert [each.field for each in named] == [f"items[{n}].id" for n in range(len(named))]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", ""),
        ("ten bytes!", "ten bytes!"),
        ("eleven byte", "eleven \N{HORIZONTAL ELLIPSIS}"),
        ("\N{SNOWMAN}" * 3, "\N{SNOWMAN}" * 3),
        ("\N{SNOWMAN}" * 4, "\N{SNOWMAN}" * 2 + "\N{HORIZONTAL ELLIPSIS}"),
    ],
)
def test_a_text_is_cut_between_characters(text: str, kept: str) -> None:
    assert cut(text, 10) == kept
