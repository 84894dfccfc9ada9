"""`python -m bench capacity`: read the model out."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from itertools import product

from bench.capacity.model import (
    Constants,
    Demand,
    Fleet,
    Plan,
    encoding_hours,
    installations,
    plans,
)

# The catalogues and loads that are read out unless one is asked for.
_ITEMS, _RATES = (10e6, 1e9), (1e3, 1e5)
_HEADINGS = (
    *(
        "way",
        "stores",
        "breaks first",
        "of the most",
        "core-ms a request",
        "machines of each store",
    ),
    "by the hour",
)


def main(arguments: Sequence[str]) -> int:
    """Print a table for each catalogue and load; return the exit code."""
    options = vars(_parser().parse_args(arguments))
    known = Constants.read()
    fleet = Fleet(**{each.name: options[each.name] for each in fields(Fleet)})
    asked = {each.name: options[each.name] for each in fields(Demand)}
    for items, rate in product(asked.pop("items") or _ITEMS, asked.pop("rate") or _RATES):
        demand = Demand(items, rate, **asked)
        sys.stdout.write("\n".join(_table(demand, fleet, known)) + "\n\n")
    return 0


def _table(demand: Demand, fleet: Fleet, known: Constants) -> Iterator[str]:
    yield f"### {demand.items:,.0f} items, {demand.rate:,.0f} requests/s"
    yield ""
    yield _row(_HEADINGS)
    yield _row(["---"] * len(_HEADINGS))
    for way, whole in enumerate(plans(demand, fleet, known)):
        count = installations(demand, fleet, known, way)
        each = plans(replace(demand, rate=demand.rate / max(1, count)), fleet, known)[way]
        yield _row(_cells(whole, each, count, fleet))
    yield ""
    yield f"To encode: {encoding_hours(demand, known):,.1f} core-hours."


def _cells(whole: Plan, each: Plan, count: int, fleet: Fleet) -> list[str]:
    """Return what breaks first where one store has the `whole`, and what `count` of them take."""
    machines = "; ".join(
        f"{group.machines} {name}: {group.cores:,.0f} cores, {group.memory:,.1f} GiB"
        + (f", {group.processes} processes" if group.processes > 1 else "")
        for name, group in each.groups.items()
    )
    note = f" ({whole.note})" if whole.note else ""
    return [
        whole.name,
        str(count or "none does"),
        whole.breaks_first,
        f"{whole.strain[whole.breaks_first]:.0%}",
        f"{whole.core_ms:,.1f}{note}",
        machines if count else "",
        f"${count * each.cost(fleet):,.2f}" if count else "",
    ]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench capacity", description=f"{Demand.__doc__}\n\n{Fleet.__doc__}"
    )
    for kind in (Demand, Fleet):
        for each in fields(kind):
            many = each.name in ("items", "rate")
            parser.add_argument(
                f"--{each.name.replace('_', '-')}",
                type=float if many else type(each.default),
                nargs="+" if many else None,
                default=None if many else each.default,
                help="" if many else f"({each.default:g})",
            )
    return parser
