"""The report as JSON, for programs.

Schema `longtail.evaluation/1`:

- `schema`: the name of this schema; a change that would break a reader raises its number.
- `data`, `protocol`, `cross_check`, `provenance`: the fields of the classes of that name in
  `evaluation.report.results`, under the names there.
- `base`: the recommenders before any re-ranking, ours and others': `k`, `people`, `pool_recall`,
  `notes`; `best`: the best of others; `recommenders`: by name:
  - `setting`: null for ours. `metrics`: by name, `value` and `interval`. `against_best`: its NDCG
    less that of the best, with the fields of `differences`, or null.
- `dials`: a list of `name`, `k` and `rows`: `strength`, `promised`, `told`, `lost` and `metrics`,
  by name, with `value` and `interval`.
- `queries`: null, or `base` and `dials` as above, of queries in words.
- `comparisons`: one for each regime and list length:
  - `regime`, `k`, `ours`; `base`: metric to value, without re-ranking.
  - `methods`: by name:
    - `family`: longtail, ablation, baseline or outside. `variant_of`: a name or null.
    - `curve`: a list of points; each has `dial`, `promised_loss` and every metric.
    - `hypervolume`: by pair, such as `ndcg x aplt`: `value` and `interval`, [low, high].
    - `best_within_loss`: by metric: `value`, `interval` and `dial`.
  - `differences`: by pair and other method, ours minus the other: `value`, `interval`, `p_value`
    and `p_holm`.
- `reliability`: a list of `decile`, `count`, `predicted`, `observed`.
- `ceilings`: by list length, as text: `ndcg`, `recall`, `tail_recall`, `aplt`, `pool_tail_share`.
- `latencies`: a list of `method`, `pool`, `k`, `p50_ms`, `p99_ms`.
- `notes`: sentences. `stages`: name to seconds.

A number that does not exist is null everywhere.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from evaluation.report.results import (
    BaseTable,
    Comparison,
    DialTable,
    MethodResult,
    Part,
    QueryResults,
    Report,
)
from evaluation.significance import Difference, Estimate

SCHEMA = "longtail.evaluation/1"


def document(report: Report) -> dict[str, Any]:
    """Return the report as a JSON object; none of its numbers is NaN or infinite."""
    whole = {
        "schema": SCHEMA,
        "data": asdict(report.data),
        "protocol": asdict(report.protocol),
        "base": _base(report.base),
        "dials": [_dial(table) for table in report.dials],
        "queries": report.queries and _queries(report.queries),
        "comparisons": [_comparison(comparison) for comparison in report.comparisons],
        "reliability": [asdict(row) for row in report.reliability],
        "ceilings": {str(k): asdict(ceilings) for k, ceilings in report.ceilings.items()},
        "latencies": [asdict(latency) for latency in report.latencies],
        "cross_check": asdict(report.cross_check),
        "provenance": asdict(report.provenance),
        "notes": report.notes,
        "stages": report.stages,
    }
    return {name: _plain(value) for name, value in whole.items()}


def part(found: Part) -> dict[str, Any]:
    """Return a part of the report that was had alone as a JSON object."""
    match found:
        case BaseTable():
            whole = _base(found)
        case QueryResults():
            whole = _queries(found)
        case _:
            whole = {"dials": [_dial(table) for table in found]}
    return {name: _plain(value) for name, value in whole.items()}


def _queries(queries: QueryResults) -> dict[str, Any]:
    return {"base": _base(queries.base), "dials": [_dial(table) for table in queries.dials]}


def _dial(table: DialTable) -> dict[str, Any]:
    return {
        "name": table.name,
        "k": table.k,
        "rows": [
            {
                "strength": row.strength,
                "promised": row.promised,
                "told": row.told,
                "lost": _estimate(row.lost),
                "metrics": {name: _estimate(value) for name, value in row.metrics.items()},
            }
            for row in table.rows
        ],
    }


def _base(table: BaseTable) -> dict[str, Any]:
    return {
        "k": table.k,
        "people": table.people,
        "best": table.best,
        "pool_recall": table.pool_recall,
        "recommenders": {
            each.name: {
                "setting": each.setting,
                "metrics": {name: _estimate(value) for name, value in each.metrics.items()},
                "against_best": each.against_best and _difference(each.against_best),
            }
            for each in table.results
        },
        "notes": table.notes,
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "regime": comparison.regime,
        "k": comparison.k,
        "ours": comparison.ours,
        "base": comparison.base,
        "methods": {method.name: _method(method) for method in comparison.methods},
        "differences": {
            pair: {name: _difference(difference) for name, difference in others.items()}
            for pair, others in comparison.differences.items()
        },
    }


def _method(method: MethodResult) -> dict[str, Any]:
    return {
        "family": method.family,
        "variant_of": method.variant_of,
        "curve": [
            {"dial": point.dial, "promised_loss": point.promised_loss, **point.metrics}
            for point in method.curve
        ],
        "hypervolume": {pair: _estimate(value) for pair, value in method.hypervolume.items()},
        "best_within_loss": {
            metric: _estimate(best.estimate) | {"dial": best.dial}
            for metric, best in method.best.items()
        },
    }


def _difference(difference: Difference) -> dict[str, Any]:
    of_tests = {"p_value": difference.p_value, "p_holm": difference.adjusted}
    return _estimate(difference.estimate) | of_tests


def _estimate(estimate: Estimate) -> dict[str, Any]:
    return {"value": estimate.value, "interval": [estimate.low, estimate.high]}


def _plain(value: object) -> object:
    """Return the value in the types of JSON, which knows no NaN."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return str(value) if isinstance(value, str) else value
