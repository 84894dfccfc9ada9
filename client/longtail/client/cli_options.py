"""The options that many commands share, and the connection they lead to."""

from typing import Annotated

import typer
from longtail.client.channel import ADDRESS_VARIABLE, DEFAULT_ADDRESS
from longtail.client.where_grammar import Requirement, read_requirement

Address = Annotated[
    str,
    typer.Option(envvar=ADDRESS_VARIABLE, help="host:port of the server.", show_default=True),
]
Timeout = Annotated[float, typer.Option(min=0.001, help="Deadline of each call in seconds.")]
Json = Annotated[
    bool, typer.Option("--json", help="Print JSON on standard output, and nothing else.")
]


def _requirement(text: str) -> Requirement:
    try:
        return read_requirement(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


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
Where = Annotated[
    list[Requirement] | None,
    typer.Option(
        "--where",
        parser=_requirement,
        metavar="TEST",
        help="Only items whose attribute passes: NAME=VALUE, != >= <= > <, 'NAME in A,B', "
        "'NAME exists', or its opposite with ! in front. Numbers, true, false and times as RFC "
        "3339 are known as such; double quotes make a VALUE text. Repeatable: all must pass.",
    ),
]
