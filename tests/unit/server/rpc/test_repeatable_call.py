"""What tells a repeated call from another."""

import hashlib

import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from longtail.server.rpc.repeatable_call import repeatable_call
from longtail.v1 import item_pb2
from longtail.v1 import item_service_pb2 as pb

ITEMS = [item_pb2.Item(id=f"i{n}", title="é" * n, available_from=Timestamp()) for n in range(5)]
ITEMS[3].attributes.update({name: [name, {"deep": 1}] for name in "zyxwvutsrq"})
UPDATE = pb.UpdateItemRequest(item=ITEMS[3], allow_missing=True, request_id="once")
UPDATE.update_mask.paths.extend(["title", "attributes.z"])


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        (pb.BatchUpsertItemsRequest(items=ITEMS, request_id="once"), pb.BatchUpsertItemsResponse),
        (UPDATE, pb.UpdateItemResponse),
        (pb.BatchDeleteItemsRequest(ids=["b", "a"], request_id="once"), pb.DeleteItemResponse),
        (pb.DeleteItemRequest(id="a", request_id="once"), pb.DeleteItemResponse),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Message) else None,
)
def test_the_digest_taken_in_pieces_is_that_of_the_whole(
    request_: Message, reply: type[Message]
) -> None:
    call = repeatable_call(request_, reply)
    assert call is not None
    whole = type(request_)()
    whole.CopyFrom(request_)
    whole.ClearField("request_id")
    assert call.digest == hashlib.sha256(whole.SerializeToString(deterministic=True)).digest()
