"""Messages as the commands print them."""

import json

from google.protobuf.duration_pb2 import Duration
from longtail.client import attributes
from longtail.client.cli.output import message_as_dict, number
from longtail.runtime.errors import NotFound
from longtail.v1.item_pb2 import Item
from longtail.v1.item_service_pb2 import BatchDeleteItemsResponse
from longtail.v1.recommendation_service_pb2 import (
    REASON_HISTORY,
    REASON_QUERY,
    BatchRecommendResponse,
    BatchRecommendResult,
    Breakdown,
    Recommendation,
    RecommendResponse,
    RecommendTimings,
)


def test_attributes_keep_their_integers_however_deep_their_item_lies() -> None:
    values = {"year": 1977, "sizes": [1, 0.5, {"cm": 3}], "new": True}
    item = Item(id="1", attributes=attributes(values), popularity_prior=2)
    listed = Recommendation(
        item=item, breakdown=Breakdown(relevance=1), reasons=[REASON_QUERY, REASON_HISTORY]
    )
    response = RecommendResponse(
        results=[listed, listed],
        missing_ids=["2"],
        timings=RecommendTimings(total=Duration(seconds=3)),
    )
    printed = message_as_dict(
        BatchRecommendResponse(results=[BatchRecommendResult(response=response)])
    )
    for result in printed["results"][0]["response"]["results"]:
        assert json.dumps(result["item"]["attributes"], sort_keys=True) == (
            '{"new": true, "sizes": [1, 0.5, {"cm": 3}], "year": 1977}'
        )
        # What the contract says to be a double stays one.
        assert json.dumps(result["breakdown"]["relevance"]) == "1.0"


def test_an_error_is_printed_with_its_details() -> None:
    status = NotFound("item", "7").status()
    assert len(status.details) > 0
    printed = message_as_dict(BatchDeleteItemsResponse(statuses=[status], revision=3))
    assert printed["statuses"][0]["details"][0]["@type"].endswith("ErrorInfo")


def test_numbers_are_told_whole_or_with_six_digits() -> None:
    told = {0: "0", 0.5: "0.5", 1 / 3: "0.333333", 99_999.5: "99999.5", 1_234_567: "1234567"}
    told |= {-1_234_567.25: "-1234567", 1e300: "1e+300"}
    assert {value: number(value) for value in told} == told
