"""What a request of EmbeddingService asks, after the contract's limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from longtail.runtime.errors import InvalidArgument, Violation
from longtail.v1 import embedding_service_pb2 as pb
from longtail.worker.call import Outcome, Refused
from longtail.worker.tokenizer import Role, Truncation
from longtail.worker.waiting import Lane

MAX_TEXTS = 256
MAX_TEXT_CHARACTERS = 24_000

_ROLES: Mapping[int, Role] = {pb.ROLE_QUERY: Role.QUERY, pb.ROLE_ITEM: Role.ITEM}
_LANES: Mapping[int, Lane] = {
    pb.LANE_UNSPECIFIED: Lane.INTERACTIVE,
    pb.LANE_INTERACTIVE: Lane.INTERACTIVE,
    pb.LANE_BULK: Lane.BULK,
}
_TRUNCATIONS: Mapping[int, Truncation] = {
    pb.TRUNCATION_UNSPECIFIED: Truncation.END,
    pb.TRUNCATION_END: Truncation.END,
    pb.TRUNCATION_START: Truncation.START,
    pb.TRUNCATION_REFUSE: Truncation.REFUSE,
}


@dataclass(frozen=True)
class Ask:
    """A request that can be worked on; `refused` are its texts, by index, that cannot be."""

    texts: list[str]
    refused: Mapping[int, Refused]
    role: Role
    lane: Lane
    truncation: Truncation
    dimensions: int

    @property
    def allowed(self) -> list[str]:
        """Return the texts that can be embedded, in order."""
        if not self.refused:
            return self.texts
        return [text for i, text in enumerate(self.texts) if i not in self.refused]

    def with_refused(self, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        """Return an outcome for every text, given those of the `allowed` ones."""
        if not self.refused:
            return outcomes
        rest = iter(outcomes)
        return [self.refused.get(i) or next(rest) for i in range(len(self.texts))]


def read(request: pb.EmbedRequest, dimension: int) -> Ask:
    """Return what is asked of an encoder of `dimension`.

    Raises InvalidArgument that names every field of the call that is wrong.
    """
    texts = list(request.texts)
    role, lane = _ROLES.get(request.role), _LANES.get(request.lane)
    truncation = _TRUNCATIONS.get(request.truncation)
    dimensions = request.dimensions if request.HasField("dimensions") else dimension
    if (
        role is None
        or lane is None
        or truncation is None
        or not 1 <= dimensions <= dimension
        or not 1 <= len(texts) <= MAX_TEXTS
    ):
        raise InvalidArgument(*_violations(request, dimension, dimensions))
    refused = {i: wrong for i, text in enumerate(texts) if (wrong := _wrong(text))}
    return Ask(texts, refused, role, lane, truncation, dimensions)


def _violations(request: pb.EmbedRequest, dimension: int, dimensions: int) -> list[Violation]:
    violations = []
    if not 1 <= len(request.texts) <= MAX_TEXTS:
        description = f"must be 1 to {MAX_TEXTS} texts, not {len(request.texts)}"
        violations.append(Violation("texts", description))
    if request.role not in _ROLES:
        violations.append(Violation("role", "must be ROLE_QUERY or ROLE_ITEM"))
    if request.lane not in _LANES:
        violations.append(Violation("lane", f"{request.lane} is not a Lane"))
    if not 1 <= dimensions <= dimension:
        violations.append(Violation("dimensions", f"must be 1 to {dimension}, not {dimensions}"))
    if request.truncation not in _TRUNCATIONS:
        violations.append(Violation("truncation", f"{request.truncation} is not a Truncation"))
    return violations


def _wrong(text: str) -> Refused | None:
    if len(text) > MAX_TEXT_CHARACTERS:
        return Refused(f"is {len(text)} characters long, at most {MAX_TEXT_CHARACTERS} fit")
    if not text or text.isspace():
        return Refused("is blank")
    return None
