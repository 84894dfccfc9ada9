"""The largest calls that are legal: near to what a request may have, of what takes long."""

from collections.abc import Callable

import numpy as np
from google.protobuf.message import Message
from longtail.v1 import interaction_service_pb2 as interactions
from longtail.v1 import item_service_pb2 as items
from longtail.v1 import recommendation_service_pb2 as recommendations
from longtail.v1.filter_pb2 import Condition, Filter, Operand
from longtail.v1.item_pb2 import Item

_BYTES = 16 * 2**20 - 2**16
_MOST_ITEMS = 1000
_PEOPLE = [str(number) for number in range(1, 101)]


def _items(turn: int, **more: object) -> items.BatchUpsertItemsRequest:
    vector = np.arange(turn + 1, turn + 385, dtype="<f4").tobytes()
    one = Item(id="heavy 000", title="heavy", vector=vector, **more)  # type: ignore[arg-type]
    request = items.BatchUpsertItemsRequest()
    for number in range(min(_MOST_ITEMS, _BYTES // (one.ByteSize() + 4))):
        one.id = f"heavy {number:03}"
        request.items.append(one)
    return request


def _long_texts(turn: int) -> items.BatchUpsertItemsRequest:
    return _items(turn, text=f"words {turn} " * 1800)


def _many_attributes(turn: int) -> items.BatchUpsertItemsRequest:
    return _items(turn, attributes={f"field {at}": f"words {turn}" for at in range(500)})


def _long_queries(turn: int) -> interactions.WriteInteractionsRequest:
    # A character of four bytes.
    query = "\N{GRINNING FACE}" * 4000
    return interactions.WriteInteractionsRequest(
        interactions=[
            interactions.Interaction(
                event_id=f"heavy {turn} {number}",
                user_id="heavy",
                item_id=str(number),
                type="view",
                query=query,
            )
            for number in range(_MOST_ITEMS)
        ]
    )


def _much_excluded(_: int) -> recommendations.BatchRecommendRequest:
    excluded = recommendations.Exclusions(item_ids=[f"{number:036}" for number in range(1000)])
    return recommendations.BatchRecommendRequest(
        requests=[
            recommendations.RecommendRequest(user_id=user, exclude=excluded) for user in _PEOPLE
        ]
    )


def _many_operands(_: int) -> recommendations.BatchRecommendRequest:
    condition = Condition(field="year")
    getattr(condition, "in").values.extend(Operand(number=number) for number in range(999))
    rule = recommendations.Rule(boost=2, filter=Filter(any_of=[condition]))
    return recommendations.BatchRecommendRequest(
        requests=[
            recommendations.RecommendRequest(user_id=user, rules=[rule] * 10)
            for user in _PEOPLE[:30]
        ]
    )


def _long_lists(_: int) -> recommendations.BatchRecommendRequest:
    return recommendations.BatchRecommendRequest(
        requests=[
            recommendations.RecommendRequest(user_id=user, page_size=100, include_items=True)
            for user in _PEOPLE
        ]
    )


_UPSERT, _RECOMMEND = "ItemService/BatchUpsertItems", "RecommendationService/BatchRecommend"
# Each by how often it was sent before: a repetition may not be a call that has nothing to do.
HEAVY: dict[str, tuple[str, Callable[[int], Message]]] = {
    "items with long texts": (_UPSERT, _long_texts),
    "items with many attributes": (_UPSERT, _many_attributes),
    "interactions with long queries": ("InteractionService/WriteInteractions", _long_queries),
    "recommendations, much excluded": (_RECOMMEND, _much_excluded),
    "recommendations, many operands": (_RECOMMEND, _many_operands),
    "recommendations, long lists": (_RECOMMEND, _long_lists),
}
