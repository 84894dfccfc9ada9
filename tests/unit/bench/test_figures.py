import json
import math
from collections.abc import Iterator
from typing import Any

import pytest

from bench.figures import (
    Bar,
    Figure,
    Measured,
    NotRun,
    Section,
    Sections,
    against,
    as_json,
    as_markdown,
    bar_of,
    median,
    percentile,
    single,
)

BARS = dict(map(bar_of, ("rate >= 1 x", "share <= 2 %")))


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
    assert Figure("1", "rate", Bar(">=", 10, "%"), measured, "").verdict == from_below
    assert Figure("1", "wait", Bar("<=", 10, "ms"), measured, "").verdict == from_above


@pytest.mark.parametrize(
    ("text", "name", "bar"),
    [
        ("rate, 2 x >= 2.3 x", "rate, 2 x", ">= 2.3 x"),
        ("calls per text <= 0.5", "calls per text", "<= 0.5"),
        ("answer [ms]", "answer", "none"),
    ],
)
def test_a_bar_is_read_from_words_and_says_the_same(text: str, name: str, bar: str) -> None:
    found, read = bar_of(text)
    assert (found, str(read)) == (name, bar)


def test_what_is_no_bar_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="no figure"):
        bar_of("rate > 3")


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
    sections = Sections[object]()

    @sections.add("7", "rates", "rate >= 1 x", "share <= 2 %")
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
        Figure("1", "a|b", Bar(">=", 2.3, "x"), Measured(2.4, 7, 2.1, 2.5), "note"),
        Figure("1", "c", Bar("<=", 1, "ms"), None, "no data"),
        Figure("2", "d", Bar("", math.nan, "ms"), single(1234.0, 1), ""),
    ]
    text = as_markdown({"cores": "2"}, figures)
    assert "| 1 | a\\|b | >= 2.3 x | 2.40 x | met | 7 | 2.10 to 2.50 | note |" in text
    assert "| 1 | c | <= 1 ms |  | not run |  |  | no data |" in text
    assert text.endswith("1 of 2 bars met, 1 not run.\n")
    document = json.loads(json.dumps(as_json({"cores": "2"}, figures)))
    assert [figure["measured"] for figure in document["figures"]] == [2.4, None, 1234.0]


def test_every_figure_of_a_part_has_a_name_of_its_own() -> None:
    from bench import worker
    from bench.index import sections as index
    from bench.request import sections as request

    for part in (worker, index, request):
        sections: list[Section[Any]] = part.SECTIONS
        names = [name for each in sections for name in each.bars]
        assert len(set(names)) == len(names)
        assert len({each.name for each in sections}) == len(sections)
