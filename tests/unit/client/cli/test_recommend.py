"""What `longtail recommend` and `longtail explain` ask and print; what is wrong usage."""

import json

import pytest
from longtail.client import boost, bury, pin, recommend_request, where
from longtail.v1.recommendation_service_pb2 import (
    BUCKET_TAIL,
    GAVE_WAY_EXPLORATION_TO_BUDGET,
    GAVE_WAY_TAIL_TO_BUDGET,
    REASON_EXPLORATION,
    SATURATION_BUDGET,
    VERDICT_LISTED,
    Breakdown,
    EffectivePolicy,
    ExplainItemRequest,
    ExplainItemResponse,
    MissingAttribute,
    NearestExample,
    Recommendation,
    RecommendResponse,
    RelevanceTerm,
)

from tests.unit.client.cli.command_line import row, run
from tests.unit.client.fake import Fake

WISHES = [
    "--diversity", "0.3", "--cap", "genres=2", "--cap", "year=1", "--explore", "2",
    "--explore-max-popularity", "9", "--pin", "50@1", "--boost", "2:genres=Comedy",
    "--bury", "3:year<1950", "--rotation", "0.5", "--seed", "7",
]  # fmt: skip
DRAWN = Recommendation(
    item_id="7",
    title="[red]Seven",
    rank=1,
    bucket=BUCKET_TAIL,
    reasons=[REASON_EXPLORATION],
    propensity=0.25,
    nearest_example=NearestExample(item_id="8", title="Eight", similarity=0.875),
    matching_attributes=["genres=Crime", "year=1995"],
    breakdown=Breakdown(
        relevance=0.25,
        estimate=0.5,
        penalty=0.5,
        rule_factor=1,
        baseline_rank=31,
        terms=[
            RelevanceTerm(feature="intercept", log_odds=-1.5),
            RelevanceTerm(feature="idle", log_odds=0.001),
            RelevanceTerm(feature="text", log_odds=1.504),
        ],
    ),
)
CERTAIN = Recommendation(
    item_id="9", title="Nine", rank=2, propensity=1, breakdown=Breakdown(rule_factor=1)
)


def test_every_wish_is_sent(fake: Fake) -> None:
    assert run("recommend", "space", *WISHES, address=fake.address).exit_code == 0
    assert run("explain", "7", "space", *WISHES, address=fake.address).exit_code == 0

    recommended, explained = fake.requests
    assert recommended == recommend_request(
        "space",
        page_size=10,
        diversity=0.3,
        caps={"genres": 2, "year": 1},
        explore=2,
        explore_max_popularity=9,
        rules=[
            pin("50", 1, name="50@1"),
            boost(2, where=where("genres").equals("Comedy"), name="2:genres=Comedy"),
            bury(3, where=where("year").between(less_than=1950), name="3:year<1950"),
        ],
        rotation=0.5,
        seed=7,
        filter=recommended.filter,  # type: ignore[attr-defined]
    )
    assert isinstance(explained, ExplainItemRequest)
    assert (explained.item_id, explained.request) == ("7", recommended)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["recommend", "--cap", "genres"], "NAME=LIMIT"),
        (["recommend", "--boost", "2:genres"], "NAME=VALUE"),
        (["recommend", "--explore", "101"], "--explore"),
        (["recommend", "--pages", "0"], "--pages"),
        (["compare", "space"], "--policy"),
        (["compare", *["--policy", "strength=0"] * 2], "one name"),
        (["compare", *(f"--policy=strength=0.{n}" for n in range(5))], "4 at most"),
        (["exposure", "--hours", "1", "--start", "2026-01-01"], "--hours"),
        (["exposure", "--end", "soon"], "RFC 3339"),
        (["interactions", "shown", "token"], "ITEM"),
    ],
)
def test_wrong_usage_sends_nothing(fake: Fake, arguments: list[str], message: str) -> None:
    done = run(*arguments, address=fake.address)

    assert done.exit_code == 2
    assert message in done.stderr
    assert not fake.requests


def test_a_propensity_is_shown_where_something_was_drawn(fake: Fake) -> None:
    fake.pages = [RecommendResponse(results=[DRAWN, CERTAIN])]
    drawn = run("recommend", address=fake.address).stdout
    fake.pages = [RecommendResponse(results=[CERTAIN])]
    certain = run("recommend", address=fake.address).stdout

    assert row(drawn, "[red]Seven").endswith("exploration, propensity 0.25")
    assert "most like" not in drawn
    assert "propensity" not in certain


def test_the_grounds_are_shown_when_asked_for(fake: Fake) -> None:
    fake.pages = [RecommendResponse(results=[DRAWN, CERTAIN])]
    printed = run("recommend", "--explain", address=fake.address).stdout

    grounds = row(printed, "Eight (0.88)")
    assert "genres=Crime, year=1995" in grounds
    assert "0.5000" in grounds
    assert "intercept -1.50, text +1.50" in grounds
    headings = row(printed, "base rank")
    assert "penalty" in headings
    assert "rotation" not in headings
    assert "rules" not in headings


def test_the_summary_says_what_gave_way(fake: Fake) -> None:
    policy = EffectivePolicy(
        min_tail_fraction=0.5,
        exploration_slots=1,
        gave_way=[GAVE_WAY_TAIL_TO_BUDGET, GAVE_WAY_EXPLORATION_TO_BUDGET],
        saturation=SATURATION_BUDGET,
    )
    fake.pages = [RecommendResponse(policy=policy, recommendation_token="secret")]
    printed = run("recommend", address=fake.address).stdout

    assert row(printed, "gave way", "tail to budget")
    assert row(printed, "gave way", "exploration to budget")
    assert row(printed, "no more tail", "budget")
    assert "secret" not in printed


def test_attributes_that_no_item_has_are_told(fake: Fake) -> None:
    missing = [MissingAttribute(field="genre", nearest="genres"), MissingAttribute(field="[zip]")]
    told = "genre (is genres meant?), [zip]"
    fake.pages = [RecommendResponse(missing_attributes=missing)]
    fake.explanation.missing_attributes.extend(missing)
    fake.comparison.lists.add(name="one", response=fake.pages[0])

    assert row(run("recommend", address=fake.address).stdout, "no item has").endswith(told)
    assert row(run("explain", "7", address=fake.address).stdout, "no item has").endswith(told)
    compared = run("compare", "--policy", "one: tail=0", address=fake.address).stdout
    assert told in row(compared, "no item has")


def test_pages_are_shown_one_after_another(fake: Fake) -> None:
    fake.pages = [RecommendResponse(results=[DRAWN]), RecommendResponse(results=[CERTAIN])]
    printed = run("recommend", "--pages", "5", address=fake.address).stdout
    documents = json.loads(run("recommend", "--pages", "1", "--json", address=fake.address).stdout)
    document = json.loads(run("recommend", "--json", address=fake.address).stdout)

    assert printed.index("[red]Seven") < printed.index("Nine")
    assert documents == [document]
    assert document["next_page_token"] == "1"


def test_an_explanation_leaves_out_what_says_nothing(fake: Fake) -> None:
    fake.explanation = ExplainItemResponse(
        summary="It was [drawn].", verdict=VERDICT_LISTED, recommendation=DRAWN
    )
    printed = run("explain", "7", address=fake.address).stdout

    assert "It was [drawn]." in printed
    assert row(printed, "most like").endswith("Eight (0.88)")
    assert row(printed, "in common").endswith("genres=Crime, year=1995")
    assert row(printed, "log odds").endswith("intercept -1.50, text +1.50")
    assert row(printed, "penalty").endswith("50%")
    assert row(printed, "base rank").endswith("31")
    assert "rotation" not in printed


def test_what_rounds_to_nothing_and_what_was_never_computed_say_nothing(fake: Fake) -> None:
    fake.explanation.recommendation.breakdown.taste_share = -1e-9
    printed = run("explain", "7", address=fake.address).stdout

    assert "taste" not in printed
    assert "rules" not in printed
