"""The contract on the way in and out; a text's vector is random here, but always the same."""

import dataclasses
from collections.abc import Sequence
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from longtail.runtime.deadline import within
from longtail.runtime.errors import InferenceFailed, InvalidArgument
from longtail.v1 import embedding_service_pb2 as pb
from longtail.worker import answer, validation
from longtail.worker.artefact import Artefact
from longtail.worker.cache import Known
from longtail.worker.call import Outcome, Refused, Result, Terms
from longtail.worker.model import Placement
from longtail.worker.service import EmbeddingService
from longtail.worker.tokenizer import Role, Truncation
from longtail.worker.vectors import Vector
from longtail.worker.waiting import Lane

DIMENSION = 32


def vector(text: str) -> Vector:
    values = np.random.default_rng(crc32(text.encode())).standard_normal(DIMENSION, np.float32)
    unit: Vector = values / np.linalg.norm(values)
    return unit


def known(text: str) -> Known:
    return Known(vector(text).tobytes(), len(text), truncated=False)


class FakeEmbedder:
    """Embeds what it is given, but for the texts in `failures`; remembers what it was asked."""

    def __init__(self) -> None:
        self.failures: dict[str, Outcome] = {}
        self.asked: list[tuple[list[str], Terms]] = []
        self.seconds = (0.0, 0.0, 0.0)

    async def embed(self, texts: Sequence[str], terms: Terms) -> Result:
        self.asked.append((list(texts), terms))
        return Result([self.failures.get(text) or known(text) for text in texts], *self.seconds)


class Context:
    """What the service needs of gRPC's context."""

    def peer(self) -> str:
        return "ipv4:127.0.0.1:4711"


class Calls:
    """The service with a fake embedder behind it, called without gRPC."""

    def __init__(self, artefact: Artefact) -> None:
        self.embedder = FakeEmbedder()
        manifest = dataclasses.replace(artefact.manifest, dimension=DIMENSION)
        embedder: Any = self.embedder
        self._service = EmbeddingService(
            embedder, manifest, Placement("cpu", "CPUExecutionProvider"), max_queued_tokens=7
        )

    async def embed(self, *texts: str, **fields: Any) -> pb.EmbedResponse:  # noqa: ANN401 # any field
        context: Any = Context()
        request = pb.EmbedRequest(**{"texts": texts, "role": pb.ROLE_ITEM, **fields})
        with within(5.0):
            return await self._service.Embed(request, context)


@pytest.fixture
def calls(artefact_on_disk: Artefact) -> Calls:
    return Calls(artefact_on_disk)


def matrix(response: pb.EmbedResponse) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.frombuffer(response.vectors, "<f4").reshape(-1, response.dimension)


def detail(status: status_pb2.Status, kind: type[Message]) -> Any:  # noqa: ANN401 # a message
    message = kind()
    assert any(packed.Unpack(message) for packed in status.details)
    return message


async def test_the_rows_are_those_of_the_texts(calls: Calls) -> None:
    response = await calls.embed("a", "bb", "a")
    assert matrix(response).tolist() == [vector(text).tolist() for text in ("a", "bb", "a")]
    assert [result.token_count for result in response.results] == [1, 2, 1]
    assert not any(result.HasField("status") for result in response.results)
    assert response.model_id.startswith("tiny@")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, (Role.ITEM, Lane.INTERACTIVE, Truncation.END)),
        ({"role": pb.ROLE_QUERY}, (Role.QUERY, Lane.INTERACTIVE, Truncation.END)),
        ({"lane": pb.LANE_BULK}, (Role.ITEM, Lane.BULK, Truncation.END)),
        ({"lane": pb.LANE_INTERACTIVE}, (Role.ITEM, Lane.INTERACTIVE, Truncation.END)),
        ({"truncation": pb.TRUNCATION_END}, (Role.ITEM, Lane.INTERACTIVE, Truncation.END)),
        ({"truncation": pb.TRUNCATION_START}, (Role.ITEM, Lane.INTERACTIVE, Truncation.START)),
        ({"truncation": pb.TRUNCATION_REFUSE}, (Role.ITEM, Lane.INTERACTIVE, Truncation.REFUSE)),
    ],
)
async def test_the_terms_are_those_of_the_request(
    calls: Calls, fields: dict[str, int], expected: tuple[Role, Lane, Truncation]
) -> None:
    await calls.embed("a", **fields)
    ((_, terms),) = calls.embedder.asked
    assert (terms.role, terms.lane, terms.truncation) == expected
    assert terms.caller == "ipv4:127.0.0.1:4711"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"role": pb.ROLE_UNSPECIFIED}, ["role"]),
        ({"role": 7}, ["role"]),
        ({"lane": 3}, ["lane"]),
        ({"lane": -1}, ["lane"]),
        ({"truncation": 4}, ["truncation"]),
        ({"dimensions": 0}, ["dimensions"]),
        ({"dimensions": DIMENSION + 1}, ["dimensions"]),
        ({"dimensions": 2**32 - 1}, ["dimensions"]),
        ({"texts": []}, ["texts"]),
        ({"texts": ["a"] * 257}, ["texts"]),
        (
            {"texts": [], "role": 9, "lane": 9, "dimensions": 0, "truncation": 9},
            ["texts", "role", "lane", "dimensions", "truncation"],
        ),
    ],
)
async def test_a_wrong_call_is_refused_whole_by_field(
    calls: Calls, fields: dict[str, Any], named: list[str]
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await calls.embed(**{"texts": ["a", ""], **fields})
    assert [violation.field for violation in caught.value.violations] == named
    assert not calls.embedder.asked


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is blank"),
        (" \n\t\u3000", "is blank"),
        ("b" * 24_001, "is 24001 characters long, at most 24000 fit"),
        ("🎈" * 24_001, "is 24001 characters long, at most 24000 fit"),
    ],
    ids=["empty", "blank", "long", "long in characters"],
)
async def test_a_wrong_text_is_refused_alone(calls: Calls, text: str, why: str) -> None:
    response = await calls.embed("a", text, "bb", text, dimensions=DIMENSION)
    a, bb, zeros = vector("a").tolist(), vector("bb").tolist(), [0.0] * DIMENSION
    assert matrix(response).tolist() == [a, zeros, bb, zeros]
    fine = [not result.HasField("status") for result in response.results]
    assert fine == [True, False, True, False]
    for i in (1, 3):
        status = response.results[i].status
        assert status.code == code_pb2.INVALID_ARGUMENT
        assert status.message == f"texts[{i}]: {why}"
        assert detail(status, error_details_pb2.ErrorInfo).reason == "INVALID_ARGUMENT"
        (violation,) = detail(status, error_details_pb2.BadRequest).field_violations
        assert (violation.field, violation.description) == (f"texts[{i}]", why)
    assert [texts for texts, _ in calls.embedder.asked] == [["a", "bb"]]


@pytest.mark.parametrize(
    ("failure", "code", "message"),
    [
        (Refused("has more than the 8 tokens that are read"), 3, "texts[2]: has more than the 8"),
        (InferenceFailed("the encoder failed (ValueError)"), 13, "the encoder failed"),
    ],
)
async def test_a_text_that_fails_later_is_named_by_its_place_in_the_call(
    calls: Calls, failure: Outcome, code: int, message: str
) -> None:
    calls.embedder.failures["poison"] = failure
    response = await calls.embed("", "a", "poison", "bb")
    assert [result.status.code for result in response.results] == [3, 0, code, 0]
    assert response.results[2].status.message.startswith(message)
    assert not matrix(response)[2].any()
    assert matrix(response)[3].tolist() == vector("bb").tolist()


async def test_a_call_of_wrong_texts_alone_is_answered(calls: Calls) -> None:
    response = await calls.embed("", " ")
    assert matrix(response).tolist() == np.zeros((2, DIMENSION)).tolist()
    assert [result.status.code for result in response.results] == [3, 3]


@pytest.mark.parametrize("dimensions", range(1, DIMENSION + 1))
async def test_a_cut_vector_is_the_first_numbers_at_unit_length(
    calls: Calls, dimensions: int
) -> None:
    response = await calls.embed("a", "", "bb", dimensions=dimensions)
    assert response.dimension == dimensions
    cut = matrix(response)
    assert cut.dtype == np.float32
    for row, text in zip(cut[[0, 2]], ("a", "bb"), strict=True):
        first = vector(text)[:dimensions].astype(np.float64)
        np.testing.assert_allclose(row, first / np.linalg.norm(first), atol=1e-7)
        assert abs(np.linalg.norm(row.astype(np.float64)) - 1) < 1e-6
    assert not cut[1].any()


async def test_all_dimensions_are_the_vector_as_it_is(calls: Calls) -> None:
    unset, said = await calls.embed("a"), await calls.embed("a", dimensions=DIMENSION)
    assert unset.vectors == said.vectors == vector("a").tobytes()


@pytest.mark.parametrize("dimensions", [1, 2, 3, 7, 8, 17, 31])
def test_a_cut_vector_does_not_depend_on_its_neighbours(dimensions: int) -> None:
    texts = [f"text {i}" for i in range(256)]
    together = answer.rows([known(text) for text in texts], DIMENSION, dimensions)
    alone = b"".join(answer.rows([known(text)], DIMENSION, dimensions) for text in texts)
    assert together == alone


@pytest.mark.parametrize("tiny", [1e-45, 1e-30, 1e-20])
def test_a_cut_of_hardly_anything_still_has_unit_length(tiny: float) -> None:
    values = np.array([0, 0, tiny, 1], "<f4")
    row = Known(values.tobytes(), 1, truncated=False)
    nothing = np.frombuffer(answer.rows([row], 4, 2), "<f4")
    hardly = np.frombuffer(answer.rows([row], 4, 3), "<f4")
    assert nothing.tolist() == [0, 0]
    assert hardly.tolist() == [0, 0, 1]


async def test_times_are_told_and_unset_where_there_are_none(calls: Calls) -> None:
    calls.embedder.seconds = (0.0, 2.000000001, 0.25)
    timings = (await calls.embed("a")).timings
    assert not timings.HasField("tokenize")
    assert timings.queue.ToNanoseconds() == 2_000_000_001
    assert timings.inference.ToNanoseconds() == 250_000_000


def test_nearly_a_second_is_a_duration_too() -> None:
    timings = answer.response([], Result([], 0.9999999999), pb.Model(dimension=1), 1).timings
    assert (timings.tokenize.seconds, timings.tokenize.nanos) == (1, 0)


def test_the_limits_are_those_of_the_contract() -> None:
    assert (validation.MAX_TEXTS, validation.MAX_TEXT_CHARACTERS) == (256, 24_000)
