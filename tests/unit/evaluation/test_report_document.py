import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from evaluation.report.document import SCHEMA, document
from evaluation.report.figures import PAIRS
from evaluation.report.results import MethodResult, Report
from tests.unit.evaluation.invented_report import invented_report


def with_first_method(report: Report, method: MethodResult) -> Report:
    """Return the report with its first method replaced."""
    first, *rest = report.comparisons
    comparison = replace(first, methods=(method, *first.methods[1:]))
    return replace(report, comparisons=(comparison, *rest))


def leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        assert all(type(key) is str for key in value)
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from leaves(each)
    else:
        yield value


def test_json_gives_back_what_was_written() -> None:
    written = document(invented_report())
    assert json.loads(json.dumps(written, allow_nan=False)) == written
    assert written["schema"] == SCHEMA


def test_only_types_of_json_are_left() -> None:
    report = invented_report()
    method = report.comparisons[0].methods[0]
    point = replace(method.curve[0], metrics={"ndcg": np.float64(0.5)})
    written = document(with_first_method(report, replace(method, curve=(point,))))
    assert {type(leaf) for leaf in leaves(written)} <= {str, int, float, bool, type(None)}


def test_every_point_has_its_dial_its_promise_and_every_metric() -> None:
    report = invented_report()
    for comparison, written in zip(
        report.comparisons, document(report)["comparisons"], strict=True
    ):
        assert (written["regime"], written["k"]) == (comparison.regime, comparison.k)
        assert list(written["methods"]) == [method.name for method in comparison.methods]
        for method in comparison.methods:
            curve = written["methods"][method.name]["curve"]
            assert [point["dial"] for point in curve] == [point.dial for point in method.curve]
            for point, read in zip(method.curve, curve, strict=True):
                assert read["promised_loss"] == point.promised_loss
                for name, value in point.metrics.items():
                    assert read[name] == (None if np.isnan(value) else value)


def test_a_hypervolume_and_a_difference_have_their_intervals() -> None:
    report = invented_report()
    comparison, written = report.comparisons[1], document(report)["comparisons"][1]
    for pair in PAIRS:
        for method in comparison.methods:
            estimate = method.hypervolume[pair.name]
            assert written["methods"][method.name]["hypervolume"][pair.name] == {
                "value": estimate.value,
                "interval": [estimate.low, estimate.high],
            }
        for name, difference in comparison.differences[pair.name].items():
            assert written["differences"][pair.name][name] == {
                "value": difference.estimate.value,
                "interval": [difference.estimate.low, difference.estimate.high],
                "p_value": difference.p_value,
                "p_holm": difference.adjusted,
            }


def test_what_does_not_exist_is_null() -> None:
    report = invented_report()
    assert document(report)["comparisons"][0]["base"]["snips"] is None
    method = report.comparisons[0].methods[0]
    best = dict(method.best)
    lost = replace(
        best["aplt"],
        dial=float("nan"),
        estimate=replace(best["aplt"].estimate, value=float("nan"), low=float("inf")),
    )
    written = document(with_first_method(report, replace(method, best=best | {"aplt": lost})))
    found = written["comparisons"][0]["methods"]["Longtail"]["best_within_loss"]["aplt"]
    high = best["aplt"].estimate.high
    assert found == {"value": None, "interval": [None, high], "dial": None}
