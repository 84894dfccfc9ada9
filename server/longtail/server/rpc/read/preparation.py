"""From a recommendation request to a wish with all its vectors, and the state to answer it from."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from longtail.runtime.errors import InvalidArgument, Unavailable
from longtail.server.catalogue.state import CatalogueState
from longtail.server.recommend.recommender import Recommender
from longtail.server.recommend.request import Wish
from longtail.server.rpc.read.recommend_request import wish_draft
from longtail.server.rpc.tokens.frozen_page import decode_page
from longtail.server.write.encoding import Embed
from longtail.v1 import embedding_service_pb2
from longtail.v1 import recommendation_service_pb2 as pb


@dataclass(frozen=True)
class Prepared:
    """A wish, ready to be answered from `state`; `degraded`: without its texts' vectors."""

    state: CatalogueState
    wish: Wish
    degraded: bool
    embedding_seconds: float


class Preparation:
    """Validates requests and encodes their texts."""

    def __init__(self, recommender: Recommender, embed: Embed, default_strength: float) -> None:
        self._recommender = recommender
        self._embed = embed
        self._default_strength = default_strength

    async def prepare(self, request: pb.RecommendRequest) -> Prepared:
        """Return the wish in a request.

        Raises InvalidArgument naming what is wrong with it, FailedPrecondition when the catalogue
        is not at its min_revision, and what the encoder raises, but for Unavailable when the
        request allows for that.
        """
        state = await self._recommender.state(request.min_revision)
        binding = state.encoder.binding
        draft = wish_draft(
            request,
            decode_page(request),
            dimension=binding.dimension,
            default_strength=self._default_strength,
        )
        started = time.perf_counter()
        vectors, degraded = None, False
        if draft.texts:
            try:
                vectors = await self._embed(
                    draft.texts,
                    embedding_service_pb2.ROLE_QUERY,
                    embedding_service_pb2.LANE_INTERACTIVE,
                    binding,
                )
            except Unavailable:
                if not request.allow_degraded:
                    raise
                degraded = True
        return Prepared(state, draft.wish(vectors), degraded, time.perf_counter() - started)


@contextmanager
def seen_from(parent: str) -> Iterator[None]:
    """Name what is wrong with a request as it is seen from the message that holds it."""
    try:
        yield
    except InvalidArgument as error:
        inside = (violation.inside(parent) for violation in error.violations)
        raise InvalidArgument(*inside) from None
