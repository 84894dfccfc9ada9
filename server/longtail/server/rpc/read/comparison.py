"""From a comparison to the policies that are compared."""

from longtail.runtime.errors import InvalidArgument, Violation
from longtail.server.recommend.request import Policy
from longtail.server.rpc.read.fields import check_batch, check_id
from longtail.server.rpc.read.policy import policy_of
from longtail.server.rpc.read.recommend_request import seen_from
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
