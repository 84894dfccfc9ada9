"""What two rows share is what the JSON of their attributes has in common."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from longtail.server.catalogue.columns.attributes import AttributeColumns
from longtail.server.catalogue.columns.columns import NO_ROW
from longtail.server.catalogue.columns.values import MAX_PAIR, MAX_SHARED, shared_attributes
from longtail.server.store.attribute_names import MAX_NAME

from tests.unit.server.catalogue.columns.carried import carried_attributes

# Few of each, so that items have much in common.
NAMES = st.sampled_from(["a", "b", "a.b", "n" * 60, "é"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 0.0, 1, 1.0, -1.0, 1999, 1999.0, 2**53 - 1, 0.1, 1e16, 1e-7]),
    st.sampled_from(["", "x", "y", "1.0x", "z=", "l" * 130, "l" * 199, "l" * 2000]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
ATTRIBUTES = st.dictionaries(NAMES, VALUES, max_size=4)


def columns_of(*mappings: Mapping[str, Any]) -> AttributeColumns:
    columns = AttributeColumns()
    columns.append(mappings)
    return columns


def shared(columns: AttributeColumns, *pairs: tuple[int, int]) -> list[list[str]]:
    rows = np.array(pairs, np.int64).reshape(-1, 2)
    return shared_attributes(columns, rows[:, 0], rows[:, 1])


def expected(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    common = set(pairs_in(one)) & set(pairs_in(other))
    return sorted(pair for pair in common if len(pair) <= MAX_PAIR)[:MAX_SHARED]


def pairs_in(value: object, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from pairs_in(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for element in value:
            yield from pairs_in(element, path)
    elif isinstance(value, bool):
        yield f"{path}={'true' if value else 'false'}"
    elif value is not None:
        yield f"{path}={str(value).removesuffix('.0')}"


@given(st.data(), st.lists(ATTRIBUTES, min_size=1, max_size=6))
def test_it_is_what_the_json_of_both_has_in_common(
    data: st.DataObject, items: list[dict[str, Any]]
) -> None:
    columns = columns_of(*items)
    if data.draw(st.booleans(), "in another order"):
        order = data.draw(st.permutations(range(len(items))))
        columns, items = carried_attributes(columns, np.array(order)), [items[at] for at in order]
    late = data.draw(st.lists(ATTRIBUTES, max_size=2), "appended one by one")
    for attributes in late:
        columns.append([attributes])
    items += late
    rows = st.integers(0, len(items) - 1)
    pairs = data.draw(st.lists(st.tuples(rows, rows | st.just(NO_ROW)), max_size=6))
    assert shared(columns, *pairs) == [
        [] if other == NO_ROW else expected(items[one], items[other]) for one, other in pairs
    ]


def test_a_row_shares_with_itself_what_it_has_once_and_in_order() -> None:
    columns = columns_of({"tags": ["b", "a", "b"], "year": 1999.0, "new": True, "none": None})
    assert shared(columns, (0, 0)) == [["new=true", "tags=a", "tags=b", "year=1999"]]


def test_types_stay_apart_and_zero_is_zero() -> None:
    columns = columns_of(
        {"a": "1"}, {"a": 1.0}, {"a": True}, {"a": "true"}, {"b": -0.0}, {"b": 0.0}
    )
    assert shared(columns, (0, 1), (1, 2), (2, 3), (4, 5)) == [[], [], [], ["b=0"]]


def test_what_has_no_value_of_its_own_is_not_shared() -> None:
    long = "n" * (MAX_NAME + 1)
    attributes = {"object": {}, "list": [], "lists": [[], {}], long: "x", "text": "x" * 2000}
    assert shared(columns_of(attributes, attributes), (0, 1)) == [[]]


def test_so_many_are_told_and_no_longer_ones() -> None:
    many = {"tag": [f"{number:02}" for number in range(20)], "t": ["x" * 198, "y" * 199]}
    [told] = shared(columns_of(many, many), (0, 1))
    assert told == ["t=" + "x" * 198, *(f"tag={number:02}" for number in range(MAX_SHARED - 1))]


def test_a_row_that_is_no_more_shares_nothing() -> None:
    columns = carried_attributes(columns_of({"a": "x"}, {"a": "x"}), np.array([1, NO_ROW, 0]))
    assert shared(columns, (0, 2), (0, 1), (1, 1), (NO_ROW, NO_ROW)) == [["a=x"], [], [], []]
    assert shared(columns) == []
