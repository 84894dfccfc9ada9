"""From a RecommendRequest to a request: validated first, then with the vectors of its texts."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from longtail.runtime.errors import InvalidArgument, Violation
from longtail.server.process.pseudonyms import Pseudonyms
from longtail.server.ranking.words import distinct_words
from longtail.server.recommend.request import (
    ItemExample,
    Policy,
    Request,
    Rotation,
    VectorExample,
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
from longtail.server.rpc.read.policy import policy_of, usual_policy
from longtail.server.rpc.read.rules import check_places, rules_of
from longtail.server.rpc.read.spaces import Spaces, space_named
from longtail.server.rpc.tokens.frozen_page import decode_page
from longtail.v1 import recommendation_service_pb2 as pb
from numpy.typing import NDArray

DEFAULT_PAGE, MAX_PAGE = 10, 100
MAX_EXAMPLES = 100
MAX_EXCLUDED = 1000
MAX_SEEN_TYPES = 100
MAX_WEIGHT = 100.0
# Of rotation, in microseconds: a day, and the longest Duration there is.
HALF_LIFE, MAX_HALF_LIFE = 24 * 3600 * 10**6, 315_576_000_000 * 10**6
EXPLAIN = frozenset(pb.Explain.values())
NOTHING = frozenset[str]()


@dataclass(frozen=True)
class TextExample:
    """A text at a position of the request's examples, whose vector is not known yet."""

    text: str
    weight: float
    position: int


@dataclass(frozen=True)
class ReadRequest:
    """A valid request without what needs the encoder, and that: its query and text examples."""

    wordless: Request
    query: str
    text_examples: tuple[TextExample, ...]
    allow_degraded: bool

    @property
    def texts(self) -> list[str]:
        """What needs vectors: the query, if there is one, and the texts of examples."""
        query = [self.query] if self.query else []
        return query + [example.text for example in self.text_examples]

    def request(self, vectors: NDArray[np.float32] | None) -> Request:
        """Return the request with the unit `vectors` (n, d) of `texts`; None leaves those out."""
        if vectors is None:
            return self.wordless
        of_query = 1 if self.query else 0
        of_texts = [
            VectorExample(vector, example.weight, example.position)
            for example, vector in zip(self.text_examples, vectors[of_query:], strict=True)
        ]
        return replace(
            self.wordless,
            query=vectors[0] if of_query else None,
            examples=(*of_texts, *self.wordless.examples),
        )


def read_request(
    message: pb.RecommendRequest,
    *,
    dimension: int,
    spaces: Spaces,
    default_strength: float,
    pseudonyms: Pseudonyms,
) -> ReadRequest:
    """Return what a message asks for of a catalogue with these vector spaces.

    Raises InvalidArgument naming the first field that is wrong.
    """
    frozen = decode_page(message) if message.page_token else None
    check_text("query", message.query, MAX_QUERY)
    if message.user_id:
        check_id("user_id", message.user_id)
    if message.explain not in EXPLAIN:
        raise InvalidArgument(Violation("explain", f"is {message.explain}, which is no Explain"))
    page_size = check_page_size(message.page_size, default=DEFAULT_PAGE, limit=MAX_PAGE)
    examples = list(_examples(message, dimension, spaces)) if message.examples else []
    odds_rules, pins = rules_of(message.rules) if message.rules else ((), ())
    if frozen is None and pins:
        check_places(message.rules, page_size)
    excluded, seen_types, allow_seen = _exclusions(message)
    return ReadRequest(
        Request(
            policy=_policy(message, page_size, default_strength),
            user_id=pseudonyms(message.user_id),
            examples=tuple(ex for ex in examples if isinstance(ex, VectorExample)),
            item_examples=tuple(ex for ex in examples if isinstance(ex, ItemExample)),
            excluded=excluded,
            seen_types=seen_types,
            allow_seen=allow_seen,
            allow_copies=message.allow_copies,
            page_size=page_size,
            filter=filter_of(message.filter, "filter") if message.HasField("filter") else None,
            odds_rules=odds_rules,
            pins=pins if frozen is None else (),
            words=() if message.ignore_words else distinct_words(message.query),
            rotation=_rotation(message) if message.HasField("rotation") else None,
            seed=message.seed,
            frozen=frozen,
        ),
        message.query,
        tuple(ex for ex in examples if isinstance(ex, TextExample)),
        message.allow_degraded,
    )


@contextmanager
def seen_from(parent: str) -> Iterator[None]:
    """Name what is wrong with a request as it is seen from the message that holds it."""
    try:
        yield
    except InvalidArgument as error:
        raise error.inside(parent) from None


def _policy(message: pb.RecommendRequest, page_size: int, default_strength: float) -> Policy:
    if not any(map(message.HasField, ("long_tail", "diversity", "exploration"))):
        return usual_policy(default_strength)
    return policy_of(
        message.long_tail,
        message.diversity,
        message.exploration,
        page_size=page_size,
        default_strength=default_strength,
    )


def _exclusions(message: pb.RecommendRequest) -> tuple[frozenset[str], frozenset[str], bool]:
    """Return the excluded ids, the types of interactions that count as seen, and allow_seen."""
    if not message.HasField("exclude"):
        return NOTHING, NOTHING, False
    exclude = message.exclude
    check_count("exclude.item_ids", exclude.item_ids, MAX_EXCLUDED)
    check_count("exclude.seen_types", exclude.seen_types, MAX_SEEN_TYPES)
    for position, item_id in enumerate(exclude.item_ids):
        check_id(f"exclude.item_ids[{position}]", item_id)
    for position, seen_type in enumerate(exclude.seen_types):
        check_id(f"exclude.seen_types[{position}]", seen_type, MAX_TYPE)
    return frozenset(exclude.item_ids), frozenset(exclude.seen_types), exclude.allow_seen


def _examples(
    message: pb.RecommendRequest, dimension: int, spaces: Spaces
) -> Iterator[VectorExample | ItemExample | TextExample]:
    check_count("examples", message.examples, MAX_EXAMPLES)
    for position, example in enumerate(message.examples):
        field = f"examples[{position}]"
        weight = _weight(f"{field}.weight", example)
        space = space_named(f"{field}.space", example.space, spaces) if example.space else None
        match example.WhichOneof("kind"):
            case "item_id":
                item_id = check_id(f"{field}.item_id", example.item_id)
                yield ItemExample(item_id, weight, position, example.space)
            case "text":
                if space is not None:
                    problem = f"is {space.name!r}, but a text has no vector in it"
                    raise InvalidArgument(Violation(f"{field}.space", problem))
                if not example.text:
                    raise InvalidArgument(Violation(f"{field}.text", "is empty"))
                text = check_text(f"{field}.text", example.text, MAX_QUERY)
                yield TextExample(text, weight, position)
            case "vector":
                length = dimension if space is None else space.dimension
                vector = unit_vector(f"{field}.vector", example.vector, length)
                yield VectorExample(vector, weight, position, example.space)
            case _:
                raise InvalidArgument(Violation(field, "is neither item_id nor text nor vector"))


def _weight(field: str, example: pb.Example) -> float:
    weight = example.weight if example.HasField("weight") else 1.0
    if weight == 0:
        raise InvalidArgument(Violation(field, "is zero, so the example says nothing"))
    return check_number(field, weight, -MAX_WEIGHT, MAX_WEIGHT)


def _rotation(message: pb.RecommendRequest) -> Rotation | None:
    rotation = message.rotation
    rate = check_number("rotation.rate", rotation.rate, 0, 1)
    half_life = HALF_LIFE
    if rotation.HasField("half_life"):
        half_life = rotation.half_life.ToMicroseconds()
        if not 0 < half_life <= MAX_HALF_LIFE:
            raise InvalidArgument(
                Violation("rotation.half_life", "is not above zero and up to 10,000 years")
            )
    if not message.user_id:
        raise InvalidArgument(Violation("user_id", "is empty, but rotation needs it"))
    return Rotation(rate, half_life) if rate else None
