"""From a RecommendRequest to a wish: validated first, then with the vectors of its texts."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from longtail.runtime.errors import InvalidArgument, Violation
from longtail.server.recommend.request import (
    FrozenCandidates,
    ItemExample,
    Rotation,
    VectorExample,
    Wish,
)
from longtail.server.rpc.read.counts import check_count
from longtail.server.rpc.read.fields import (
    MAX_QUERY,
    MAX_TYPE,
    check_id,
    check_number,
    check_page_size,
    check_text,
    unit_vector,
)
from longtail.server.rpc.read.filter import filter_of
from longtail.server.rpc.read.policy import policy_of
from longtail.server.rpc.read.rules import check_places, rules_of
from longtail.v1 import recommendation_service_pb2 as pb
from numpy.typing import NDArray

DEFAULT_PAGE, MAX_PAGE = 10, 100
MAX_EXAMPLES = 100
MAX_EXCLUDED = 1000
MAX_SEEN_TYPES = 100
MAX_WEIGHT = 100.0
# Of rotation, in microseconds: a day, and the longest Duration there is.
HALF_LIFE, MAX_HALF_LIFE = 24 * 3600 * 10**6, 315_576_000_000 * 10**6


@dataclass(frozen=True)
class TextExample:
    """A text at a position of the request's examples, whose vector is not known yet."""

    text: str
    weight: float
    position: int

    def with_vector(self, vector: NDArray[np.float32]) -> VectorExample:
        """Return the example with its unit vector (d,)."""
        return VectorExample(vector, self.weight, self.position)


@dataclass(frozen=True)
class WishDraft:
    """A valid request: its wish without what needs the encoder, and that: query and texts."""

    wordless: Wish
    query: str
    text_examples: tuple[TextExample, ...]

    @property
    def texts(self) -> list[str]:
        """What needs vectors: the query, if there is one, and the texts of examples."""
        query = [self.query] if self.query else []
        return query + [example.text for example in self.text_examples]

    def wish(self, vectors: NDArray[np.float32] | None) -> Wish:
        """Return the wish with the unit `vectors` (n, d) of `texts`; None leaves those out."""
        if vectors is None:
            return self.wordless
        of_query = 1 if self.query else 0
        pairs = zip(self.text_examples, vectors[of_query:], strict=True)
        of_texts = [example.with_vector(vector) for example, vector in pairs]
        return replace(
            self.wordless,
            query=vectors[0] if of_query else None,
            examples=(*of_texts, *self.wordless.examples),
        )


def wish_draft(
    request: pb.RecommendRequest,
    frozen: FrozenCandidates | None,
    *,
    dimension: int,
    default_strength: float,
) -> WishDraft:
    """Validate a request, whose page_token holds the candidates `frozen`; None: the first page.

    Raises InvalidArgument naming the first field that is wrong.
    """
    check_text("query", request.query, MAX_QUERY)
    if request.user_id:
        check_id("user_id", request.user_id)
    if request.explain not in pb.Explain.values():
        raise InvalidArgument(Violation("explain", f"is {request.explain}, which is no Explain"))
    _check_exclusions(request.exclude)
    page_size = check_page_size(request.page_size, default=DEFAULT_PAGE, limit=MAX_PAGE)
    examples = list(_examples(request, dimension))
    odds_rules, pins = rules_of(request.rules)
    if frozen is None:
        check_places(request.rules, page_size)
    return WishDraft(
        Wish(
            user_id=request.user_id,
            query=None,
            examples=tuple(ex for ex in examples if isinstance(ex, VectorExample)),
            item_examples=tuple(ex for ex in examples if isinstance(ex, ItemExample)),
            excluded=frozenset(request.exclude.item_ids),
            seen_types=frozenset(request.exclude.seen_types),
            allow_seen=request.exclude.allow_seen,
            page_size=page_size,
            filter=filter_of(request.filter, "filter"),
            policy=policy_of(
                request.long_tail,
                request.diversity,
                request.exploration,
                page_size=page_size,
                default_strength=default_strength,
            ),
            odds_rules=odds_rules,
            pins=pins if frozen is None else (),
            rotation=_rotation(request),
            seed=request.seed,
            frozen=frozen,
            min_revision=request.min_revision,
        ),
        request.query,
        tuple(ex for ex in examples if isinstance(ex, TextExample)),
    )


def _check_exclusions(exclude: pb.Exclusions) -> None:
    check_count("exclude.item_ids", exclude.item_ids, MAX_EXCLUDED)
    check_count("exclude.seen_types", exclude.seen_types, MAX_SEEN_TYPES)
    for position, item_id in enumerate(exclude.item_ids):
        check_id(f"exclude.item_ids[{position}]", item_id)
    for position, seen_type in enumerate(exclude.seen_types):
        check_id(f"exclude.seen_types[{position}]", seen_type, MAX_TYPE)


def _examples(
    request: pb.RecommendRequest, dimension: int
) -> Iterator[VectorExample | ItemExample | TextExample]:
    check_count("examples", request.examples, MAX_EXAMPLES)
    for position, example in enumerate(request.examples):
        field = f"examples[{position}]"
        weight = _weight(f"{field}.weight", example)
        match example.WhichOneof("kind"):
            case "item_id":
                item_id = check_id(f"{field}.item_id", example.item_id)
                yield ItemExample(item_id, weight, position)
            case "text":
                if not example.text:
                    raise InvalidArgument(Violation(f"{field}.text", "is empty"))
                text = check_text(f"{field}.text", example.text, MAX_QUERY)
                yield TextExample(text, weight, position)
            case "vector":
                vector = unit_vector(f"{field}.vector", example.vector, dimension)
                yield VectorExample(vector, weight, position)
            case _:
                raise InvalidArgument(Violation(field, "is neither item_id nor text nor vector"))


def _weight(field: str, example: pb.Example) -> float:
    weight = example.weight if example.HasField("weight") else 1.0
    if weight == 0:
        raise InvalidArgument(Violation(field, "is zero, so the example says nothing"))
    return check_number(field, weight, -MAX_WEIGHT, MAX_WEIGHT)


def _rotation(request: pb.RecommendRequest) -> Rotation | None:
    if not request.HasField("rotation"):
        return None
    rotation = request.rotation
    rate = check_number("rotation.rate", rotation.rate, 0, 1)
    half_life = HALF_LIFE
    if rotation.HasField("half_life"):
        half_life = rotation.half_life.ToMicroseconds()
        if not 0 < half_life <= MAX_HALF_LIFE:
            raise InvalidArgument(
                Violation("rotation.half_life", "is not above zero and up to 10,000 years")
            )
    if not request.user_id:
        raise InvalidArgument(Violation("user_id", "is empty, but rotation needs it"))
    return Rotation(rate, half_life) if rate else None
