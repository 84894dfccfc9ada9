"""What `longtail compare` asks and prints."""

import json

from longtail.v1.recommendation_service_pb2 import (
    BUCKET_HEAD,
    BUCKET_TAIL,
    GAVE_WAY_TAIL_TO_BUDGET,
    ComparedList,
    CompareRecommendationsRequest,
    EffectivePolicy,
    ListMetrics,
    Move,
    Recommendation,
    RecommendResponse,
)

from tests.unit.client.cli.command_line import run
from tests.unit.client.fake import Fake


def test_policies_stand_side_by_side(fake: Fake) -> None:
    def item(item_id: str, title: str, tail: bool) -> Recommendation:
        return Recommendation(
            item_id=item_id, title=title, bucket=BUCKET_TAIL if tail else BUCKET_HEAD
        )

    first = RecommendResponse(
        results=[item("1", "[b]One", False), item("2", "Two", True), item("3", "", False)],
        list_metrics=ListMetrics(tail_fraction=1 / 3, relevance_loss=0),
    )
    second = RecommendResponse(
        results=[item("3", "", False), item("4", "Four", True)],
        list_metrics=ListMetrics(tail_fraction=0.5, relevance_loss=0.0123),
        policy=EffectivePolicy(gave_way=[GAVE_WAY_TAIL_TO_BUDGET]),
    )
    fake.comparison.lists.extend(
        [
            ComparedList(name="strict", response=first, common_count=3),
            ComparedList(
                name="other [1]",
                response=second,
                common_count=1,
                moves=[
                    Move(item_id="3", first_rank=3, rank=1),
                    Move(item_id="4", first_rank=0, rank=2),
                ],
            ),
        ]
    )
    done = run(
        "compare", "space", "--policy", "strict: strength=0", "--policy", "other [1]: diversity=1",
        "--count", "3", address=fake.address,
    )  # fmt: skip

    assert done.exit_code == 0, done.output
    (request,) = fake.requests
    assert isinstance(request, CompareRecommendationsRequest)
    assert (request.request.query, request.request.page_size) == ("space", 3)
    assert [each.name for each in request.policies] == ["strict", "other [1]"]
    cells = [
        [cell.strip() for cell in line.strip("│┃").replace("┃", "│").split("│")]
        for line in done.stdout.splitlines()
        if "│" in line or "┃" in line
    ]
    assert cells == [
        ["rank", "strict", "other [1]"],
        ["1", "[b]One", "3  +2"],
        ["2", "Two *", "Four *  new"],
        ["3", "3", ""],
        ["tail", "33%", "50%"],
        ["loss", "0.00%", "1.23%"],
        ["diversity", "0.000", "0.000"],
        ["in common", "3", "1"],
        ["gave way", "", "tail to budget"],
    ]


def test_a_comparison_is_one_json_document(fake: Fake) -> None:
    fake.comparison.lists.add(name="strict")
    done = run("compare", "--policy", "strength=0", "--json", address=fake.address)

    assert json.loads(done.stdout)["lists"][0]["name"] == "strict"
