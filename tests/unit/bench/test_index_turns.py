import pytest

from bench.index.turns import against, take_turns


def test_each_call_is_given_each_query_once() -> None:
    given: dict[str, list[int]] = {"a": [], "b": []}
    take_turns({name: given[name].append for name in given}, range(7))
    assert sorted(given["a"]) == sorted(given["b"]) == list(range(7))


def test_no_two_calls_are_at_the_same_query_in_the_same_turn() -> None:
    given: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    take_turns({name: given[name].append for name in given}, range(9))
    assert all(len(set(turn)) == 3 for turn in zip(*given.values(), strict=True))


def test_the_first_to_be_called_goes_round() -> None:
    called: list[str] = []
    take_turns({"a": lambda _: called.append("a"), "b": lambda _: called.append("b")}, range(4))
    assert called == ["a", "b", "b", "a", "a", "b", "b", "a"]


def test_a_comparison_is_the_median_of_the_ratios_of_its_rounds() -> None:
    found = against([0.002, 0.004, 0.009], [0.001, 0.004, 0.003], "p50")
    assert [found.value, found.low, found.high] == pytest.approx([2, 1, 3])
    assert found.n == 3
    assert found.note == "p50 4.000 against 3.000 ms, ratio of medians 1.33"
