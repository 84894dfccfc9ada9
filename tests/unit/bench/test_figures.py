import json
import math
from collections.abc import Iterator
from typing import Any

import pytest

from bench.figures import (
    Figure,
    Measured,
    NotRun,
    Section,
    against,
    as_json,
    as_markdown,
    at_least,
    at_most,
    median,
    percentile,
    reported,
    section,
    single,
)

BARS = {"rate": at_least(1, "x"), "share": at_most(2, "%")}


@pytest.mark.parametrize(
    ("value", "from_below", "from_above"),
    [
        (9.9, "MISSED", "met"),
        (10, "met", "met"),
        (10.1, "met", "MISSED"),
        (math.nan,) + ("MISSED",) * 2,
    ],
)
def test_a_bar_is_reached_from_its_own_side(value: float, from_below: str, from_above: str) -> None:
    measured = single(value, 1)
    assert Figure("1", "rate", at_least(10, "%"), measured, "").verdict == from_below
    assert Figure("1", "wait", at_most(10, "ms"), measured, "").verdict == from_above


def test_a_bar_says_which_side_is_good() -> None:
    assert [str(at_least(2.3, "x")), str(at_most(0.5)), str(reported("s"))] == [
        ">= 2.3 x",
        "<= 0.5",
        "none",
    ]


def test_what_took_turns_is_compared_round_by_round() -> None:
    measured = against([(20.0, 10.0), (30.0, 10.0), (400.0, 20.0)], "texts/s", ", n")
    assert measured == Measured(3.0, 3, 2.0, 20.0, "30 against 10 texts/s, n")
    assert against([(3, 4)], "texts/s", scale=100).value == 75


def test_a_median_keeps_how_far_the_rounds_spread() -> None:
    assert median([3.0, 1.0, 2.0]) == Measured(2.0, 3, 1.0, 3.0)


def test_a_percentile_is_a_sample_that_so_many_do_not_exceed() -> None:
    samples = [float(number) for number in range(1, 201)]
    assert [percentile(samples, percent) for percent in (50, 99)] == [100.0, 198.0]
    assert math.isnan(percentile([], 99))


def test_a_section_gives_a_figure_for_every_bar_in_order() -> None:
    sections: list[Section[object]] = []

    @section(sections, "7", "rates", BARS)
    def _rates(_: object) -> Iterator[Measured]:
        yield single(2.0, 1)
        yield single(3.0, 1, "told")

    (only,) = sections
    assert [(each.name, each.verdict) for each in only.figures(None)] == [
        ("rate", "met"),
        ("share", "MISSED"),
    ]


@pytest.mark.parametrize(
    ("error", "reason"),
    [(NotRun("no data"), "no data"), (ZeroDivisionError("0"), "failed with ZeroDivisionError: 0")],
)
def test_a_section_that_fails_keeps_what_it_has_and_says_why(error: Exception, reason: str) -> None:
    def measure(_: object) -> Iterator[Measured]:
        yield single(2.0, 1)
        raise error

    first, second = Section[object]("7", "rates", BARS, measure).figures(None)
    assert (first.verdict, second.verdict, second.note) == ("met", "not run", reason)


def test_the_report_has_what_was_measured_and_what_was_not() -> None:
    figures = [
        Figure("1", "a|b", at_least(2.3, "x"), Measured(2.4, 7, 2.1, 2.5), "note"),
        Figure("1", "c", at_most(1, "ms"), None, "no data"),
        Figure("2", "d", reported("ms"), single(1234.0, 1), ""),
    ]
    text = as_markdown({"cores": "2"}, figures)
    assert "| 1 | a\\|b | >= 2.3 x | 2.40 x | met | 7 | 2.10 to 2.50 | note |" in text
    assert "| 1 | c | <= 1 ms |  | not run |  |  | no data |" in text
    assert text.endswith("1 of 2 bars met, 1 not run.\n")
    document = json.loads(json.dumps(as_json({"cores": "2"}, figures)))
    assert [figure["measured"] for figure in document["figures"]] == [2.4, None, 1234.0]


def test_every_figure_of_a_part_has_a_name_of_its_own() -> None:
    from bench import index, worker
    from bench.request import sections as request

    for part in (worker, index, request):
        sections: list[Section[Any]] = part.SECTIONS
        names = [name for each in sections for name in each.bars]
        assert len(set(names)) == len(names)
        assert len({each.name for each in sections}) == len(sections)
