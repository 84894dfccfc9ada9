"""RecommendationService around a recommender that shows the first candidates there are."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from grpc.aio import ServicerContext
from longtail.runtime.errors import InvalidArgument, Violation
from longtail.server.catalogue.people import Person
from longtail.server.catalogue.state import CatalogueState
from longtail.server.encoder.query_vectors import QueryVectors
from longtail.server.process.pools import Pools
from longtail.server.process.pseudonyms import Pseudonyms
from longtail.server.process.reach import Reach
from longtail.server.recommend.answer import Answer
from longtail.server.recommend.recommender import Recommender
from longtail.server.recommend.request import Policy, Request
from longtail.server.recommend.scoring import Candidates
from longtail.server.rpc.recommendations import RecommendationService
from longtail.server.rpc.tokens.recommendation import TokenCodec
from longtail.v1 import recommendation_service_pb2 as pb

from tests.unit.server.answers import (
    SmallCatalogue,
    answer_of,
    candidates_of,
    context_of,
    listing_of,
)
from tests.unit.server.written_catalogue import FakeEncoder

# In the place of what was found for a request.
Asked = tuple[CatalogueState, Request]
CONTEXT = cast(ServicerContext[object, object], None)


@dataclass
class FakeRecommender:
    """Lists as many of the candidates a to h, or of those that are left, as are asked for.

    Under a strength of 1 they come in the opposite order. `past` is in no list.
    """

    requests: list[Request] = field(default_factory=list)

    def recommend(self, state: CatalogueState, request: Request, person: Person) -> Answer:
        [answer] = self.compare(state, request, person, [request.policy])
        return answer

    def compare(
        self, state: CatalogueState, request: Request, person: Person, policies: Sequence[Policy]
    ) -> list[Answer]:
        return self.ranked(self.searched(state, request, person), policies)

    def searched(self, state: CatalogueState, request: Request, person: Person) -> Asked:
        return state, request

    def ranked(self, searched: Asked, policies: Sequence[Policy]) -> list[Answer]:
        state, request = searched
        return [self._listed(state, replace(request, policy=policy)) for policy in policies]

    def _listed(self, state: CatalogueState, request: Request) -> Answer:
        self.requests.append(request)
        if request.user_id == "nobody to please":
            raise InvalidArgument(Violation("examples", "cancel each other"))
        ids = "abcdefgh" if request.frozen is None else request.frozen.item_ids
        candidates = candidates_of(state, [each for each in ids if each not in request.excluded])
        count = len(candidates.ids)
        shown = list(range(min(request.page_size, count)))
        if request.policy.strength == 1:
            shown = [count - 1 - at for at in shown]
        listing = listing_of(candidates.relevance, shown, explored=[0]) if shown else None
        return answer_of(context_of(state, request), candidates, listing)

    def uncounted(self, request: Request, person: Person) -> int:
        return 0

    def alone(self, answer: Answer, item_id: str) -> Candidates | None:
        return candidates_of(answer.context.state, [item_id]) if item_id == "past" else None


class Serving:
    """The service, and what it works with. `followed`: how often it looked into the store.

    `complete`: whether all that people did is known.
    """

    def __init__(self, catalogue: SmallCatalogue, pools: Pools) -> None:
        self.recommender = FakeRecommender()
        self.encoder = FakeEncoder()
        self.vectors = QueryVectors(self.encoder.embed)
        self.tokens = TokenCodec(b"key")
        self.followed = 0
        self.complete = True
        self.reach = Reach(bounded=False)
        self.service = RecommendationService(
            cast(Recommender, self.recommender),
            catalogue.replica,
            catalogue.people,
            lambda: self.complete,
            lambda: catalogue.replica.revision,
            self._follow,
            catalogue.records,
            catalogue.decisions,
            self.reach,
            self.vectors,
            self.tokens,
            pools,
            0.3,
            Pseudonyms(),
        )

    async def recommend(self, **values: object) -> pb.RecommendResponse:
        request = pb.RecommendRequest(**values)  # type: ignore[arg-type]
        return await self.service.Recommend(request, CONTEXT)  # type: ignore[arg-type]

    async def batch(self, *requests: pb.RecommendRequest) -> pb.BatchRecommendResponse:
        batch = pb.BatchRecommendRequest(requests=requests)
        content = await self.service.BatchRecommend(batch, CONTEXT)  # type: ignore[arg-type]
        return pb.BatchRecommendResponse.FromString(content)

    async def compare(
        self, request: pb.RecommendRequest, *policies: pb.ComparedPolicy
    ) -> pb.CompareRecommendationsResponse:
        compared = pb.CompareRecommendationsRequest(request=request, policies=policies)
        reply = self.service.CompareRecommendations(compared, CONTEXT)  # type: ignore[arg-type]
        return pb.CompareRecommendationsResponse.FromString(await reply)

    async def explain(self, item_id: str, **values: object) -> pb.ExplainItemResponse:
        request = pb.RecommendRequest(**values)  # type: ignore[arg-type]
        asked = pb.ExplainItemRequest(request=request, item_id=item_id)
        return await self.service.ExplainItem(asked, CONTEXT)  # type: ignore[arg-type]

    async def _follow(self) -> None:
        self.followed += 1
