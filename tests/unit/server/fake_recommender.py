"""RecommendationService around a recommender that shows the first candidates there are."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from grpc.aio import ServicerContext
from longtail.runtime.errors import FailedPrecondition, InvalidArgument, Violation
from longtail.server.catalogue.state import CatalogueState
from longtail.server.recommend.answer import Answer, Placed
from longtail.server.recommend.recommender import Recommender
from longtail.server.recommend.request import Policy, Wish
from longtail.server.rpc.recommendations import RecommendationService
from longtail.server.rpc.tokens.recommendation import TokenCodec
from longtail.v1 import recommendation_service_pb2 as pb

from tests.unit.server.answers import SmallCatalogue, answer_of, listing_of, pool_of
from tests.unit.server.written_catalogue import FakeEncoder

CONTEXT = cast(ServicerContext[object, object], None)


@dataclass
class FakeRecommender:
    """Lists as many of the candidates a to h, or of those that are left, as are asked for.

    Under a strength of 1 they come in the opposite order.
    """

    catalogue: SmallCatalogue
    wishes: list[Wish] = field(default_factory=list)

    async def state(self, min_revision: int) -> CatalogueState:
        if min_revision > self.catalogue.state.revision:
            raise FailedPrecondition("not there yet")
        return self.catalogue.state

    def answer(self, state: CatalogueState, wish: Wish) -> Answer:
        self.wishes.append(wish)
        if wish.user_id == "nobody to please":
            raise InvalidArgument(Violation("examples", "cancel each other"))
        frozen = wish.frozen
        candidates = "abcdefgh" if frozen is None else frozen.item_ids
        pool = pool_of(state, [item_id for item_id in candidates if item_id not in wish.excluded])
        shown = list(range(min(wish.page_size, len(pool.ids))))
        if wish.policy.strength == 1:
            shown = [len(pool.ids) - 1 - at for at in shown]
        listing = listing_of(pool.relevance, shown, explored=[0]) if shown else None
        return answer_of(state, pool, listing, wish, offset=0 if frozen is None else frozen.shown)

    def answers(
        self, state: CatalogueState, wish: Wish, policies: Sequence[Policy]
    ) -> list[Answer]:
        return [self.answer(state, replace(wish, policy=policy)) for policy in policies]

    def place(self, answer: Answer, item_id: str) -> Placed | None:
        return None


class Serving:
    """The service, and what it works with."""

    def __init__(self, catalogue: SmallCatalogue) -> None:
        self.recommender = FakeRecommender(catalogue)
        self.encoder = FakeEncoder()
        self.tokens = TokenCodec(b"key")
        self.service = RecommendationService(
            catalogue.records,
            cast(Recommender, self.recommender),
            self.encoder.embed,
            self.tokens,
            0.3,
        )

    async def recommend(self, **values: object) -> pb.RecommendResponse:
        request = pb.RecommendRequest(**values)  # type: ignore[arg-type]
        return await self.service.Recommend(request, CONTEXT)  # type: ignore[arg-type]

    async def batch(self, *requests: pb.RecommendRequest) -> pb.BatchRecommendResponse:
        batch = pb.BatchRecommendRequest(requests=requests)
        return await self.service.BatchRecommend(batch, CONTEXT)  # type: ignore[arg-type]

    async def compare(
        self, request: pb.RecommendRequest, *policies: pb.ComparedPolicy
    ) -> pb.CompareRecommendationsResponse:
        compared = pb.CompareRecommendationsRequest(request=request, policies=policies)
        return await self.service.CompareRecommendations(compared, CONTEXT)  # type: ignore[arg-type]

    async def explain(self, item_id: str, **values: object) -> pb.ExplainItemResponse:
        request = pb.RecommendRequest(**values)  # type: ignore[arg-type]
        asked = pb.ExplainItemRequest(request=request, item_id=item_id)
        return await self.service.ExplainItem(asked, CONTEXT)  # type: ignore[arg-type]
