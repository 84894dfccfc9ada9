import itertools
import tracemalloc

import pytest
from longtail.worker.cache import Known, VectorCache, key_of
from longtail.worker.tokenizer import Role, Truncation

DIMENSION = 384
ROW = bytes(4 * DIMENSION)


def known(token_count: int) -> Known:
    return Known(ROW, token_count, truncated=False)


def key(name: int | str) -> bytes:
    return key_of(str(name), Role.ITEM, Truncation.END)


def room_for(texts: int) -> int:
    """Return the bytes that hold so many texts and not one more."""
    cache = VectorCache(1_000_000)
    cache.put(key("one"), known(1))
    return texts * cache.bytes


def test_what_was_put_comes_back_and_nothing_else() -> None:
    cache = VectorCache(room_for(2))
    cache.put(key("a film"), known(3))
    assert cache.get(key("a film")) == known(3)
    assert cache.get(key("a film ")) is None


def test_the_text_that_nobody_asked_for_the_longest_makes_room() -> None:
    cache = VectorCache(room_for(3))
    for name in "abc":
        cache.put(key(name), known(1))
    assert cache.get(key("a"))
    cache.put(key("d"), known(1))
    assert [name for name in "abcd" if cache.get(key(name))] == ["a", "c", "d"]


def test_a_text_that_comes_again_is_counted_once() -> None:
    cache = VectorCache(room_for(2))
    cache.put(key("a"), known(1))
    for _ in range(10):
        cache.put(key("b"), known(1))
    assert cache.get(key("a"))
    assert cache.bytes == room_for(2)


@pytest.mark.parametrize("size", [0, 100, room_for(1) - 1])
def test_a_cache_without_room_for_one_text_keeps_none(size: int) -> None:
    cache = VectorCache(size)
    cache.put(key("a"), known(1))
    assert cache.get(key("a")) is None
    assert cache.bytes == 0


def test_each_text_role_and_truncation_has_its_own_key() -> None:
    texts = ["a", "a\0", "\0a", "item\0end\0a", "", " ", "東京", "x" * 24_000]
    keys = {key_of(*parts) for parts in itertools.product(texts, Role, Truncation)}
    assert len(keys) == len(texts) * len(Role) * len(Truncation)
    assert {len(key) for key in keys} == {16}


def test_no_more_memory_is_taken_than_is_counted() -> None:
    cache = VectorCache(4 * 2**20)
    tracemalloc.start()
    try:
        for i in range(4_000):
            # Objects of their own, as each vector's are.
            cache.put(key(i), Known(bytes(bytearray(ROW)), 1_000 + i, truncated=False))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.9 * cache.bytes < taken <= cache.bytes <= 4 * 2**20
