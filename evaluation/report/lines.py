"""The report in lines of text, for a terminal."""

from collections.abc import Iterator

from evaluation.report.results import BaseTable, DialTable, Part, QueryResults, Report
from evaluation.significance import Estimate

# Methods that a summary names.
NAMED = 8


def summary(report: Report) -> Iterator[str]:
    """Yield what is underneath, and where the methods stand by hypervolume."""
    yield from told(report.base)
    for comparison in report.comparisons:
        areas = {method.name: method.hypervolume["ndcg x aplt"] for method in comparison.methods}
        yield f"{comparison.regime}, lists of {comparison.k}: hypervolume NDCG x APLT"
        for name in sorted(areas, key=lambda name: -areas[name].value)[:NAMED]:
            area = areas[name]
            yield f"  {area.value:7.3f}  [{area.low:.3f}, {area.high:.3f}]  {name}"


def told(found: Part) -> Iterator[str]:
    """Yield a part of the report."""
    match found:
        case BaseTable():
            yield from _base(found)
        case QueryResults():
            yield from _base(found.base)
            yield from told(found.dials)
        case tables:
            for table in tables:
                yield from _dial(table)


def _base(table: BaseTable) -> Iterator[str]:
    yield (
        f"Underneath: {table.people} asked, lists of {table.k}; Longtail's candidates hold "
        f"{table.pool_recall:.3f} of what turned out relevant. NDCG, the best first, and by how "
        f"much it is above that of {table.best}:"
    )
    for each in sorted(table.results, key=lambda each: -each.metrics["ndcg"].value):
        ndcg, *others = each.metrics.items()
        apart = " " * 34
        if each.against_best is not None:
            apart = (
                f"{_ranged(each.against_best.estimate, '+.4f')} p {each.against_best.adjusted:.3f}"
            )
        rest = "  ".join(f"{name} {value.value:.4f}" for name, value in others)
        yield f"  {each.name:<26}{_ranged(ndcg[1], '.4f')}  {apart}  {rest}"
    yield from table.notes


def _dial(table: DialTable) -> Iterator[str]:
    yield f"Dial of {table.name}, lists of {table.k}: NDCG promised, told by answers, lost"
    for row in table.rows:
        rest = "  ".join(f"{name} {value.value:.4f}" for name, value in row.metrics.items())
        shares = f"{row.promised:7.4f} {row.told:7.4f}  {_ranged(row.lost, '7.4f')}"
        yield f"  {row.strength:4.2f} {shares}  {rest}"


def _ranged(value: Estimate, form: str) -> str:
    return f"{value.value:{form}} [{value.low:{form}}, {value.high:{form}}]"
