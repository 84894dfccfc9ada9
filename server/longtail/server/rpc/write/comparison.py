"""The lists of several policies as messages, each set against the first."""

from collections.abc import Sequence

from longtail.v1 import recommendation_service_pb2 as pb


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
