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
    # Set in place: messages that are made apart are copied, which takes twice the time.
    answer = pb.EmbedResponse(
        vectors=rows(outcomes, model.dimension, dimensions),
        dimension=dimensions,
        model_id=model.model_id,
    )
    for i, outcome in enumerate(outcomes):
        result = answer.results.add()
        if isinstance(outcome, Known):
            result.token_count, result.truncated = outcome.token_count, outcome.truncated
        else:
            result.status.CopyFrom(_failure(i, outcome).status())
    _set(answer.timings.queue, timings.queue_seconds)
    _set(answer.timings.tokenize, timings.tokenize_seconds)
    _set(answer.timings.inference, timings.inference_seconds)
    return answer


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


def _failure(index: int, outcome: Refused | ServiceError) -> ServiceError:
    if isinstance(outcome, Refused):
        return InvalidArgument(Violation(f"texts[{index}]", outcome.description))
    return outcome


def _set(duration: Duration, seconds: float) -> None:
    # Unset means zero, which is what texts that are known already have.
    if seconds > 0:
        duration.seconds, duration.nanos = divmod(round(seconds * 1e9), 1_000_000_000)
