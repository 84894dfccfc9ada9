"""Lists of several policies, side by side."""

from longtail.server.rpc.write.comparison import compared_lists
from longtail.v1 import recommendation_service_pb2 as pb


def response(*item_ids: str) -> pb.RecommendResponse:
    results = [
        pb.Recommendation(item_id=item_id, rank=rank) for rank, item_id in enumerate(item_ids, 1)
    ]
    return pb.RecommendResponse(results=results)


def test_lists_are_set_against_the_first() -> None:
    first, second, empty = compared_lists(
        ["one", "two", "three"], [response("a", "b", "c"), response("c", "d", "a"), response()]
    )
    assert (first.name, first.common_count) == ("one", 3)
    assert [(move.first_rank, move.rank) for move in first.moves] == [(1, 1), (2, 2), (3, 3)]
    assert (second.name, second.common_count) == ("two", 2)
    assert [(move.item_id, move.first_rank, move.rank) for move in second.moves] == [
        ("c", 3, 1),
        ("d", 0, 2),
        ("a", 1, 3),
    ]
    assert second.response == response("c", "d", "a")
    assert (empty.name, empty.common_count, list(empty.moves)) == ("three", 0, [])
