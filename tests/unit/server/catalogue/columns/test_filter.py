import gc
import weakref
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from longtail.server.catalogue.columns.attributes import AttributeColumns
from longtail.server.catalogue.columns.filter import (
    Condition,
    Equals,
    Exists,
    Filter,
    FilterTypeError,
    In,
    Kind,
    Range,
    Test,
)
from longtail.server.catalogue.columns.mask_cache import MaskCache
from longtail.server.catalogue.columns.matching import matching, matching_among
from longtail.server.catalogue.columns.moments import microseconds_of

from tests.unit.server.catalogue.columns.carried import carried_attributes

CATALOGUE: list[dict[str, Any]] = [
    {"kind": "film", "year": 1999, "tags": ["dark", "long"], "free": True},
    {"kind": "film", "year": 2001.5, "tags": [], "free": False},
    {"kind": "song", "tags": ["dark"], "released": "2026-11-24"},
    {"kind": ["film", "song"], "year": [1990, 2020], "released": "2026-11-24T10:00:00Z"},
    {"kind": None, "released": "soon"},
    {},
]
NOON = int(datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()) * 1_000_000
HOUR = 3600 * 1_000_000

FILM, SONG = (Condition("kind", Equals(Kind.TEXT, name)) for name in ("film", "song"))
DARK = Condition("tags", Equals(Kind.TEXT, "dark"))


def catalogue() -> AttributeColumns:
    columns = AttributeColumns()
    columns.append(CATALOGUE)
    return columns


def found(wanted: Filter) -> list[int]:
    columns = catalogue()
    mask = matching(columns, wanted, len(CATALOGUE))
    rows = range(len(CATALOGUE))
    assert [matching(columns, wanted, row + 1, row)[0] for row in rows] == mask.tolist()
    some = np.array([4, 0, 3, 3, 2])
    assert matching_among(columns, wanted, some).tolist() == mask[some].tolist()
    return np.flatnonzero(mask).tolist()


@pytest.mark.parametrize(
    ("field", "test", "expected"),
    [
        ("kind", Equals(Kind.TEXT, "film"), [0, 1, 3]),
        ("kind", Equals(Kind.TEXT, "game"), []),
        ("kind", In(Kind.TEXT, frozenset({"song", "game"})), [2, 3]),
        ("tags", In(Kind.TEXT, frozenset({"dark", "long"})), [0, 2]),
        ("year", Equals(Kind.NUMBER, 2020.0), [3]),
        ("year", In(Kind.NUMBER, frozenset({1999.0, 2001.5})), [0, 1]),
        ("year", In(Kind.NUMBER, frozenset(float(year) for year in range(1000, 2000))), [0, 3]),
        ("year", Range(Kind.NUMBER, at_least=1999.0, at_most=2001.5), [0, 1]),
        ("year", Range(Kind.NUMBER, more_than=1999.0, less_than=2001.5), []),
        # Either element is enough, but it must lie between both bounds by itself.
        ("year", Range(Kind.NUMBER, less_than=1991.0), [3]),
        ("year", Range(Kind.NUMBER, at_least=2010.0, at_most=2000.0), []),
        ("free", Equals(Kind.FLAG, False), [1]),
        ("free", In(Kind.FLAG, frozenset({True, False})), [0, 1]),
        ("released", Equals(Kind.TEXT, "soon"), [4]),
        ("released", Equals(Kind.TIME, NOON - 12 * HOUR), [2]),
        ("released", In(Kind.TIME, frozenset({NOON, NOON - 2 * HOUR})), [3]),
        ("released", Range(Kind.TIME, less_than=NOON - 2 * HOUR), [2]),
        ("released", Range(Kind.TIME, at_least=NOON - 2 * HOUR), [3]),
        ("year", Exists(True), [0, 1, 3]),
        ("year", Exists(False), [2, 4, 5]),
        ("kind", Exists(False), [4, 5]),
        ("tags", Exists(True), [0, 1, 2]),
        ("nothing has it", Exists(False), [0, 1, 2, 3, 4, 5]),
        ("nothing has it", Exists(True), []),
        ("nothing has it", Equals(Kind.FLAG, True), []),
    ],
)
def test_each_test_finds_what_the_contract_says(
    field: str, test: Test, expected: list[int]
) -> None:
    assert found(Filter((Condition(field, test),))) == expected


def test_all_must_hold_any_may_and_none_may_not() -> None:
    assert found(Filter()) == [0, 1, 2, 3, 4, 5]
    assert found(Filter(all_of=(FILM, SONG))) == [3]
    assert found(Filter(any_of=(FILM, SONG))) == [0, 1, 2, 3]
    # What lacks the attribute fails the test, so it is let through here.
    assert found(Filter(none_of=(FILM,))) == [2, 4, 5]
    assert found(Filter(all_of=(DARK,), any_of=(FILM, SONG), none_of=(FILM,))) == [2]


@pytest.mark.parametrize(
    ("wanted", "path", "message"),
    [
        (
            Filter((FILM, Condition("year", Equals(Kind.TEXT, "1999")))),
            "all_of[1].equals",
            "is a text, but 'year' holds a number",
        ),
        (
            Filter(any_of=(Condition("kind", In(Kind.NUMBER, frozenset({1.0}))),)),
            "any_of[0].in",
            "is a number, but 'kind' holds a text",
        ),
        (
            Filter(none_of=(Condition("free", Range(Kind.TIME, at_least=0)),)),
            "none_of[0].range",
            "is a time, but 'free' holds a truth value",
        ),
        (
            Filter((Condition("kind", Equals(Kind.TIME, 0)),)),
            "all_of[0].equals",
            "is a time, but 'kind' holds a text",
        ),
    ],
)
def test_a_type_that_the_attribute_holds_nowhere_is_named(
    wanted: Filter, path: str, message: str
) -> None:
    with pytest.raises(FilterTypeError) as caught:
        matching(catalogue(), wanted, len(CATALOGUE))
    assert (caught.value.path, caught.value.message) == (path, message)
    with pytest.raises(FilterTypeError):
        matching(catalogue(), wanted, 1)
    with pytest.raises(FilterTypeError):
        matching_among(catalogue(), wanted, np.array([0]))


def test_conditions_on_one_and_on_a_truth_value_are_not_mistaken_for_each_other() -> None:
    columns = AttributeColumns()
    columns.append([{"a": 1}, {"a": True}])
    cache = MaskCache(columns)
    one, true = Equals(Kind.NUMBER, 1.0), Equals(Kind.FLAG, True)
    assert cache.matching(Filter((Condition("a", one),)), 2).tolist() == [True, False]
    assert cache.matching(Filter((Condition("a", true),)), 2).tolist() == [False, True]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-24", "2026-11-24T00:00:00+00:00"),
        ("2026-11-24T10:00:00Z", "2026-11-24T10:00:00+00:00"),
        ("2026-11-24t10:00:00z", "2026-11-24T10:00:00+00:00"),
        ("2026-11-24 10:00:00-01:30", "2026-11-24T11:30:00+00:00"),
        ("2026-11-24T10:00:00.1234567Z", "2026-11-24T10:00:00.123456+00:00"),
        ("1969-12-31T23:59:59.9Z", "1969-12-31T23:59:59.900000+00:00"),
    ],
)
def test_times_are_read_as_rfc_3339_writes_them(text: str, moment: str) -> None:
    expected = datetime.fromisoformat(moment) - datetime(1970, 1, 1, tzinfo=UTC)
    microseconds = microseconds_of(text)
    assert microseconds is not None
    assert microseconds == round(expected.total_seconds() * 1e6)


@pytest.mark.parametrize(
    "text",
    [
        *("", "2026", "20261124", "2026-W48-2", "2026-11-31", "2026-11-24T10:00Z", "0000-01-01"),
        *("2026-11-24T10:00:00", "2026-11-24T25:00:00Z", "2026-11-24 ", "２026-11-24"),
    ],
)
def test_what_is_no_time_is_none(text: str) -> None:
    assert microseconds_of(text) is None


def test_the_ends_of_the_calendar_are_times() -> None:
    earliest = microseconds_of("0001-01-01T00:00:00+14:00")
    latest = microseconds_of("9999-12-31T23:59:59-14:00")
    assert earliest is not None
    assert latest is not None
    assert earliest < -62_135_596_800_000_000 < 253_402_300_799_000_000 < latest


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(0, 3),
    st.sampled_from(["x", "y", "2026-11-24", "2026-11-25T00:00:00Z"]),
)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3))
ROWS = st.lists(st.dictionaries(st.sampled_from("ab"), VALUES), min_size=1, max_size=12)
NUMBERS = st.integers(0, 3).map(float)
TIMES = st.sampled_from([NOON - 12 * HOUR, NOON + 12 * HOUR])
OF_KIND: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.TEXT: st.sampled_from(["x", "y", "z"]),
    Kind.NUMBER: NUMBERS,
    Kind.FLAG: st.booleans(),
    Kind.TIME: TIMES,
}
TESTS = st.one_of(
    st.builds(Exists, st.booleans()),
    *(st.builds(Equals, st.just(kind), values) for kind, values in OF_KIND.items()),
    *(
        st.builds(In, st.just(kind), st.frozensets(values, min_size=1))
        for kind, values in OF_KIND.items()
    ),
    st.builds(Range, st.just(Kind.NUMBER), at_least=NUMBERS, less_than=NUMBERS),
    st.builds(Range, st.just(Kind.TIME), more_than=TIMES),
)
CONDITIONS = st.lists(st.builds(Condition, st.sampled_from("abc"), TESTS), max_size=3).map(tuple)


def kind_of(value: object) -> Kind:
    if isinstance(value, bool):
        return Kind.FLAG
    return Kind.TEXT if isinstance(value, str) else Kind.NUMBER


def holds(test: Test, value: Any) -> bool:  # noqa: ANN401 (any JSON value)
    if isinstance(test, Exists):
        return True
    if test.kind is Kind.TIME and isinstance(value, str):
        value = microseconds_of(value)
    elif kind_of(value) is not test.kind:
        return False
    if value is None:
        return False
    if isinstance(test, Equals):
        return bool(value == test.value)
    if isinstance(test, In):
        return value in test.values
    return (
        (test.at_least is None or value >= test.at_least)
        and (test.less_than is None or value < test.less_than)
        and (test.more_than is None or value > test.more_than)
    )


def expected_of(row: dict[str, Any], condition: Condition) -> bool:
    value = row.get(condition.field)
    if isinstance(condition.test, Exists):
        return (value is not None) == condition.test.wanted
    elements = value if isinstance(value, list) else [value]
    return any(holds(condition.test, e) for e in elements if e is not None)


@given(ROWS, ROWS, st.builds(Filter, CONDITIONS, CONDITIONS, CONDITIONS))
def test_masks_are_those_of_a_reading_row_by_row(
    first: list[dict[str, Any]], then: list[dict[str, Any]], wanted: Filter
) -> None:
    columns = AttributeColumns()
    columns.append(first)
    columns.append(then)
    rows = first + then
    expected = [
        all(expected_of(row, c) for c in wanted.all_of)
        and (not wanted.any_of or any(expected_of(row, c) for c in wanted.any_of))
        and not any(expected_of(row, c) for c in wanted.none_of)
        for row in rows
    ]
    try:
        mask = matching(columns, wanted, len(rows))
    except FilterTypeError:
        return
    assert mask.tolist() == expected
    order = np.random.default_rng(1).permutation(len(rows))
    among = matching_among(columns, wanted, order)
    assert among.tolist() == [expected[row] for row in order]
    cache = MaskCache(columns)
    for count in (len(first), len(rows), 1, len(rows)):
        assert cache.matching(wanted, count).tolist() == expected[:count]
    taken = carried_attributes(columns, order)
    assert matching(taken, wanted, len(rows)).tolist() == [expected[row] for row in order]


def test_the_cache_lets_go_of_what_was_not_used_for_longest() -> None:
    columns = catalogue()
    cache = MaskCache(columns, capacity_bytes=400)
    films, songs, dark = (Filter((condition,)) for condition in (FILM, SONG, DARK))
    masks = {wanted: cache.matching(wanted, 6).base for wanted in (films, songs)}
    assert cache.matching(films, 6).base is masks[films]
    cache.matching(dark, 6)
    assert cache.matching(films, 6).base is masks[films]
    assert cache.matching(songs, 6).base is not masks[songs]


def test_a_mask_of_the_cache_cannot_be_written_to() -> None:
    mask = MaskCache(catalogue()).matching(Filter((FILM,)), 6)
    with pytest.raises(ValueError, match="read-only"):
        mask[0] = False


def test_large_filters_are_let_go_of_though_their_masks_are_small() -> None:
    cache = MaskCache(catalogue(), capacity_bytes=2**20)
    filters: list[weakref.ref[Filter]] = []
    for number in range(300):
        texts = frozenset(f"{number} {n} " + "x" * 900 for n in range(100))
        wanted = Filter((Condition("kind", In(Kind.TEXT, texts)),))
        filters.append(weakref.ref(wanted))
        cache.matching(wanted, 6)
    del wanted, texts
    gc.collect()
    held = [len(str(text)) for each in filters if (one := each()) for text in one.operands]
    assert 0 < sum(held) < 2**20
