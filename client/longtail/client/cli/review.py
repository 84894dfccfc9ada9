"""`longtail review`: what awaits review, decisions about items, and what was decided."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Annotated

import typer
from longtail.client.calls.sync import LongtailClient
from longtail.client.cli import options, output
from longtail.client.cli.missing import missing_of, report_missing
from longtail.v1.decision_pb2 import Decision, DecisionKind
from longtail.v1.review_service_pb2 import QueuedItem

AUTHOR_VARIABLE = "LONGTAIL_AUTHOR"

app = typer.Typer(
    no_args_is_help=True, help="What awaits review, decisions about items, and the block list."
)

ItemIds = Annotated[list[str], typer.Argument(metavar="ITEM...", help="The items' ids.")]
Reason = Annotated[str, typer.Option(help="Why, for who looks at it later.")]
Author = Annotated[
    str, typer.Option(envvar=AUTHOR_VARIABLE, help="Who decides; with a key, its name.")
]


class Kind(StrEnum):
    """What is decided about an item."""

    APPROVE = "approve"
    HIDE = "hide"
    PENALISE = "penalise"
    SUBMIT = "submit"
    BLOCK = "block"


@app.command("list")
def list_queue(
    limit: Annotated[int, typer.Option(min=1, help="Items to list.")] = 100,
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """List what awaits review, those that have waited longest first; with --json as one array."""
    with LongtailClient(address, timeout=timeout) as client:
        found = list(islice(client.list_review_queue(page_size=min(limit, 1000)), limit))
    if as_json:
        output.print_json([output.message_as_dict(each) for each in found])
        return
    columns = [(name, False) for name in ("item", "title", "since", "submitted by", "reason")]
    output.console().print(output.table(columns, [_queue_row(each) for each in found]))


def _add(kind: Kind, told: str) -> None:
    """Add the command that makes decisions of a kind that needs nothing else."""

    @app.command(kind.value, help=told)
    def decide(
        item_ids: ItemIds,
        reason: Reason,
        author: Author = "",
        until: options.Until = None,
        address: options.Address = options.ADDRESS,
        timeout: options.Timeout = options.TIMEOUT,
        as_json: options.Json = False,
    ) -> None:
        with LongtailClient(address, timeout=timeout) as client:
            _decide(client, item_ids, kind, author, reason, until, as_json)


_add(
    Kind.APPROVE,
    "Let items be recommended, whatever was decided before, and release them from review. What is "
    "written anew with another title, text, attributes or state awaits review again.",
)
_add(Kind.HIDE, "Have items recommended no more, for good or for a time.")
_add(
    Kind.SUBMIT,
    "Have items reviewed: they are not recommended until something else is decided.",
)
_add(
    Kind.BLOCK,
    "Put ids on the block list, whether the catalogue holds them or not; approve takes them off.",
)


@app.command("penalise")
def penalise(
    item_ids: ItemIds,
    penalty: Annotated[
        float, typer.Option(help="Share of its relevance that an item loses, above 0 to 1.")
    ],
    reason: Reason,
    author: Author = "",
    until: options.Until = None,
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Approve items, but have them recommended less."""
    with LongtailClient(address, timeout=timeout) as client:
        _decide(client, item_ids, Kind.PENALISE, author, reason, until, as_json, penalty)


@app.command("history")
def history(
    item_id: Annotated[str, typer.Argument(metavar="ITEM", help="The item; all without it.")] = "",
    kind: Annotated[Kind | None, typer.Option(help="Only decisions of this kind.")] = None,
    in_force: Annotated[
        bool, typer.Option("--in-force", help="Only those that count now.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="Decisions to list.")] = 100,
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """List what was decided, the latest first; with --json as one array.

    The block list is `history --kind block --in-force`.
    """
    with LongtailClient(address, timeout=timeout) as client:
        decisions = client.list_decisions(
            item_id=item_id, kind=kind or "", in_force=in_force, page_size=min(limit, 1000)
        )
        found = list(islice(decisions, limit))
    if as_json:
        output.print_json([output.message_as_dict(each) for each in found])
        return
    names = ("decided", "item", "decision", "by", "until", "in force", "reason")
    columns = [(name, False) for name in names]
    output.console().print(output.table(columns, [_history_row(each) for each in found]))


def _decide(
    client: LongtailClient,
    item_ids: list[str],
    kind: Kind,
    author: str,
    reason: str,
    until: datetime | None,
    as_json: bool,
    penalty: float | None = None,
) -> None:
    response = client.decide_items(
        item_ids, kind, author=author, reason=reason, penalty=penalty, expire_time=until
    )
    missing = missing_of(item_ids, response.statuses)
    if as_json:
        output.print_message(response)
    else:
        decided = len(item_ids) - len(missing)
        output.console().print(
            f"decided about {decided:,} items at revision {response.revision}", soft_wrap=True
        )
    report_missing(missing)


def _queue_row(queued: QueuedItem) -> Sequence[str]:
    item, decision = queued.item, queued.decision
    submitted = queued.HasField("decision")
    since = decision.create_time if submitted else item.update_time
    return item.id, item.title, output.moment(since), decision.author, decision.reason


def _history_row(decision: Decision) -> Sequence[str]:
    word = output.enum_word(DecisionKind.Name(decision.kind), "DECISION_KIND_")
    if decision.penalty:
        word += f" {decision.penalty:.0%}"
    return (
        output.moment(decision.create_time),
        decision.item_id,
        word,
        decision.author,
        output.moment(decision.expire_time) if decision.HasField("expire_time") else "",
        "yes" if decision.in_force else "no",
        decision.reason,
    )
