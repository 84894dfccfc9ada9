"""The options that many commands share, and the connection they lead to."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, TypeVar

import typer
from longtail.client.calls.channel import ADDRESS_VARIABLE, DEFAULT_ADDRESS
from longtail.client.cli.policy_grammar import NamedPolicy, read_policy
from longtail.client.cli.rule_grammar import read_boost, read_bury, read_cap, read_pin
from longtail.client.cli.where_grammar import Requirement, read_requirement
from longtail.client.importing import literals
from longtail.v1.recommendation_service_pb2 import AttributeCap, Rule

T = TypeVar("T")


def _as_usage(read: Callable[[str], T]) -> Callable[[str], T]:
    """Return the reader with its ValueError as the refusal of an option."""

    def parse(text: str) -> T:
        try:
            return read(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error

    return parse


def _moment(text: str) -> datetime:
    moment = literals.time(text)
    if moment is None:
        raise ValueError(f"{text!r} is no date or time of RFC 3339, such as 2026-11-24T10:00:00Z")
    return moment


Address = Annotated[
    str,
    typer.Option(envvar=ADDRESS_VARIABLE, help="host:port of the server.", show_default=True),
]
Timeout = Annotated[float, typer.Option(min=0.001, help="Deadline of each call in seconds.")]
Json = Annotated[
    bool, typer.Option("--json", help="Print JSON on standard output, and nothing else.")
]

ADDRESS = DEFAULT_ADDRESS
TIMEOUT = 10.0

Query = Annotated[str, typer.Argument(help="What is wanted, in words.", show_default=False)]
User = Annotated[str, typer.Option(help="The person to recommend for.", show_default=False)]
LongTail = Annotated[
    float | None,
    typer.Option(help="How much place the long tail gets: 0 is pure relevance, 1 the tail first."),
]
MinTailFraction = Annotated[
    float | None, typer.Option(help="The least share of the list that is the tail's, 0 to 1.")
]
RelevanceBudget = Annotated[
    float | None, typer.Option(help="The largest share of relevance the list may lose, 0 to 1.")
]
Tail = Annotated[
    float | None, typer.Option(help="The price of the tail apart from --long-tail, 0 to 1.")
]
Coverage = Annotated[
    float | None,
    typer.Option(help="The price of what is seldom shown apart from --long-tail, 0 to 1."),
]
Taste = Annotated[
    float | None,
    typer.Option(help="The price of the person's own taste apart from --long-tail, 0 to 1."),
]
Diversity = Annotated[
    float | None, typer.Option(help="How unlike each other the results are, 0 to 1.")
]
Caps = Annotated[
    list[AttributeCap] | None,
    typer.Option(
        "--cap",
        parser=_as_usage(read_cap),
        metavar="NAME=LIMIT",
        help="At most so many results share a value of the attribute. Repeatable.",
    ),
]
Explore = Annotated[
    int, typer.Option(min=0, max=100, help="Places kept for items that hardly anybody knows yet.")
]
ExploreMaxPopularity = Annotated[
    float | None, typer.Option(help="Popularity up to which an item is hardly known.")
]
Pins = Annotated[
    list[Rule] | None,
    typer.Option(
        "--pin",
        parser=_as_usage(read_pin),
        metavar="ITEM@POSITION",
        help="Put the item to this place, from 1. Repeatable.",
    ),
]
Boosts = Annotated[
    list[Rule] | None,
    typer.Option(
        "--boost",
        parser=_as_usage(read_boost),
        metavar="FACTOR:TEST",
        help="Multiply the odds of relevance of the items that pass, above 1 to 1000; TEST as in "
        "--where. Repeatable.",
    ),
]
Buries = Annotated[
    list[Rule] | None,
    typer.Option(
        "--bury",
        parser=_as_usage(read_bury),
        metavar="FACTOR:TEST",
        help="Divide the odds of relevance of the items that pass, above 1 to 1000. Repeatable.",
    ),
]
Rotation = Annotated[
    float | None,
    typer.Option(help="Share of its relevance that an item loses just after it was shown, 0 to 1."),
]
Seed = Annotated[
    int | None, typer.Option(min=0, max=2**64 - 1, help="What exploration draws from.")
]
Count = Annotated[int, typer.Option(min=1, max=100, help="Length of the list.")]
Like = Annotated[
    list[str] | None, typer.Option(metavar="ITEM", help="Be near to this item. Repeatable.")
]
Dislike = Annotated[
    list[str] | None, typer.Option(metavar="ITEM", help="Be far from this item. Repeatable.")
]
Exclude = Annotated[
    list[str] | None, typer.Option(metavar="ITEM", help="Leave this item out. Repeatable.")
]
AllowSeen = Annotated[
    bool, typer.Option("--allow-seen", help="Do not leave out what the person has seen.")
]
AllowCopies = Annotated[
    bool, typer.Option("--allow-copies", help="Show items that are the same side by side.")
]
IgnoreWords = Annotated[
    bool, typer.Option("--ignore-words", help="Find items by the query's meaning, not its words.")
]
Where = Annotated[
    list[Requirement] | None,
    typer.Option(
        "--where",
        parser=_as_usage(read_requirement),
        metavar="TEST",
        help="Only items whose attribute passes: NAME=VALUE, != >= <= > <, 'NAME in A,B', "
        "'NAME exists', or its opposite with ! in front. Numbers, true, false and times as RFC "
        "3339 are known as such; double quotes make a VALUE text. Repeatable: all must pass.",
    ),
]
Policies = Annotated[
    list[NamedPolicy],
    typer.Option(
        "--policy",
        parser=_as_usage(read_policy),
        metavar="[NAME:] SETTING=NUMBER...",
        help="One to four policies; the first is what the others are compared with. Settings are "
        "strength, min_tail_fraction, relevance_budget, tail, coverage, taste, diversity, explore, "
        "explore_max_popularity and cap.ATTRIBUTE; what is not set is as the other options say.",
    ),
]
Until = Annotated[
    datetime | None,
    typer.Option(
        "--until",
        parser=_as_usage(_moment),
        metavar="TIME",
        help="Moment from which on what counted before counts again (RFC 3339); never without it.",
    ),
]
Start = Annotated[
    datetime | None,
    typer.Option(
        "--start",
        parser=_as_usage(_moment),
        metavar="TIME",
        help="First moment of the span (RFC 3339); 24 hours before its end without it.",
    ),
]
End = Annotated[
    datetime | None,
    typer.Option(
        "--end",
        parser=_as_usage(_moment),
        metavar="TIME",
        help="Moment before which the span ends (RFC 3339); now without it.",
    ),
]
