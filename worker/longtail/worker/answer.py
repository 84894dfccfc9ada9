"""An EmbedResponse from what became of each text."""

from collections.abc import Sequence

import numpy as np
from google.protobuf.duration_pb2 import Duration
from longtail.runtime.errors import InvalidArgument, ServiceError, Violation
from longtail.v1 import embedding_service_pb2 as pb
from longtail.worker.cache import Known
from longtail.worker.call import Outcome, Refused, Result

_NUMBER_BYTES = 4


def response(
    outcomes: Sequence[Outcome], timings: Result, model: pb.Model, dimensions: int
) -> pb.EmbedResponse:
    """Return the answer to a call for vectors of `dimensions` numbers."""
    return pb.EmbedResponse(
        vectors=rows(outcomes, model.dimension, dimensions),
        dimension=dimensions,
        results=[_result(i, outcome) for i, outcome in enumerate(outcomes)],
        model_id=model.model_id,
        timings=pb.EmbedTimings(
            queue=_duration(timings.queue_seconds),
            tokenize=_duration(timings.tokenize_seconds),
            inference=_duration(timings.inference_seconds),
        ),
    )


def rows(outcomes: Sequence[Outcome], dimension: int, dimensions: int) -> bytes:
    """Return the first `dimensions` of each text's `dimension` numbers, as unit vectors.

    A vector's bytes depend on itself and `dimensions` alone. A text without a vector, and a cut of
    nothing but zeros, which has no direction, are all zeros.
    """
    zeros = bytes(dimension * _NUMBER_BYTES)
    whole = b"".join([outcome.row if isinstance(outcome, Known) else zeros for outcome in outcomes])
    if dimensions == dimension:
        return whole
    cut = np.frombuffer(whole, "<f4").reshape(-1, dimension)[:, :dimensions]
    # In float64 the square of no float32 is lost.
    lengths = np.sqrt(np.square(cut, dtype=np.float64).sum(axis=1, keepdims=True))
    unit = np.zeros(cut.shape, "<f4")
    np.divide(cut, lengths, out=unit, where=lengths > 0, casting="same_kind")
    return unit.tobytes()


def _result(index: int, outcome: Outcome) -> pb.EmbedResult:
    if isinstance(outcome, Known):
        return pb.EmbedResult(token_count=outcome.token_count, truncated=outcome.truncated)
    return pb.EmbedResult(status=_failure(index, outcome).status())


def _failure(index: int, outcome: Refused | ServiceError) -> ServiceError:
    if isinstance(outcome, Refused):
        return InvalidArgument(Violation(f"texts[{index}]", outcome.description))
    return outcome


def _duration(seconds: float) -> Duration | None:
    # Unset means zero, which is what texts that are known already have.
    if seconds <= 0:
        return None
    whole, part = divmod(round(seconds * 1e9), 1_000_000_000)
    return Duration(seconds=whole, nanos=part)
