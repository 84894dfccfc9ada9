"""One request under several policies: what is compared, and how the lists stand to the first."""

from collections.abc import Sequence

from longtail.runtime.errors import InvalidArgument, Violation
from longtail.server.recommend.request import Policy
from longtail.server.rpc.read.fields import check_batch, check_id
from longtail.server.rpc.read.policy import policy_of
from longtail.server.rpc.read.preparation import seen_from
from longtail.v1 import recommendation_service_pb2 as pb

MAX_POLICIES = 4
MAX_NAME = 64


def compared_policies(
    request: pb.CompareRecommendationsRequest, page_size: int, default_strength: float
) -> dict[str, Policy]:
    """Return the policies to be compared, by their names.

    `page_size` is that of the list. Raises InvalidArgument naming the first field that is wrong.
    """
    check_batch("policies", request.policies, MAX_POLICIES)
    policies: dict[str, Policy] = {}
    for at, compared in enumerate(request.policies):
        field = f"policies[{at}].name"
        name = check_id(field, compared.name or f"policy {at + 1}", MAX_NAME)
        if name in policies:
            other = list(policies).index(name)
            raise InvalidArgument(Violation(field, f"is that of policies[{other}] too"))
        # What it does not set itself was found right where it comes from.
        own, whole = compared, request.request
        with seen_from(f"policies[{at}]"):
            policies[name] = policy_of(
                own.long_tail if own.HasField("long_tail") else whole.long_tail,
                own.diversity if own.HasField("diversity") else whole.diversity,
                own.exploration if own.HasField("exploration") else whole.exploration,
                page_size=page_size,
                default_strength=default_strength,
            )
    return policies


def compared_lists(
    names: Sequence[str], responses: Sequence[pb.RecommendResponse]
) -> list[pb.ComparedList]:
    """Return the lists of the policies with these `names`, each set against the first."""
    first_rank = {result.item_id: result.rank for result in responses[0].results}
    return [
        pb.ComparedList(
            name=name,
            response=response,
            common_count=sum(result.item_id in first_rank for result in response.results),
            moves=[
                pb.Move(
                    item_id=result.item_id,
                    first_rank=first_rank.get(result.item_id, 0),
                    rank=result.rank,
                )
                for result in response.results
            ],
        )
        for name, response in zip(names, responses, strict=True)
    ]
