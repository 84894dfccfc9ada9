"""`longtail compare`: the lists of several policies side by side."""

from collections.abc import Sequence

import typer
from longtail.client.calls.recommend_request import RecommendOptions
from longtail.client.calls.sync import LongtailClient
from longtail.client.cli import options, output, result
from longtail.client.cli.policy_grammar import NamedPolicy
from longtail.client.cli.request import takes_request
from longtail.v1.recommendation_service_pb2 import BUCKET_TAIL, ComparedList, Move
from rich.table import Table

MOST_POLICIES = 4
TAIL_MARK = "*"


@takes_request
def compare(
    *,
    query: options.Query = "",
    policy: options.Policies,
    request: RecommendOptions,
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Show the lists of up to four policies side by side, from the same candidates.

    Items of the long tail have a *, and behind each title stands how many places it rose (+) or
    fell (-) against the first policy's list, or that it is new.
    """
    policies = {each.name: each.policy for each in policy}
    _check(policy, len(policies))
    with LongtailClient(address, timeout=timeout) as client:
        response = client.compare_recommendations(query, policies=policies, **request)
    if as_json:
        output.print_message(response)
    else:
        output.console().print(_side_by_side(response.lists))


def _check(policies: Sequence[NamedPolicy], distinct: int) -> None:
    if len(policies) > MOST_POLICIES:
        raise typer.BadParameter(f"there are {len(policies)} policies, {MOST_POLICIES} at most")
    if distinct < len(policies):
        raise typer.BadParameter("two policies have one name")


def _side_by_side(lists: Sequence[ComparedList]) -> Table:
    columns = [("rank", True), *((each.name, False) for each in lists)]
    cells = [_cells(each, is_first=each is lists[0]) for each in lists]
    longest = max(map(len, cells), default=0)
    ranked = [
        [str(rank + 1), *(column[rank] if rank < len(column) else "" for column in cells)]
        for rank in range(longest)
    ]
    return output.table(columns, ranked, _metrics(lists))


def _cells(compared: ComparedList, *, is_first: bool) -> list[str]:
    moves = {move.item_id: move for move in compared.moves}
    cells = []
    for item in compared.response.results:
        mark = f" {TAIL_MARK}" if item.bucket == BUCKET_TAIL else ""
        move = "" if is_first or item.item_id not in moves else _move(moves[item.item_id])
        cells.append(f"{item.title or item.item_id}{mark}{move}")
    return cells


def _move(move: Move) -> str:
    if not move.first_rank:
        return "  new"
    rise = move.first_rank - move.rank
    return f"  {rise:+d}" if rise else ""


def _metrics(lists: Sequence[ComparedList]) -> list[list[str]]:
    metrics = [each.response.list_metrics for each in lists]
    rows = [
        ["tail", *(f"{each.tail_fraction:.0%}" for each in metrics)],
        ["loss", *(f"{each.relevance_loss:.2%}" for each in metrics)],
        ["diversity", *(f"{each.intra_list_diversity:.3f}" for each in metrics)],
        ["in common", *(str(each.common_count) for each in lists)],
    ]
    gave_way = [", ".join(result.gave_way(each.response.policy)) for each in lists]
    if any(gave_way):
        rows.append(["gave way", *gave_way])
    missing = [", ".join(result.missing(each.response.missing_attributes)) for each in lists]
    if any(missing):
        rows.append([result.NO_ITEM_HAS, *missing])
    return rows
