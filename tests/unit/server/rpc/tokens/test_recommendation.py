import base64
import struct
from dataclasses import replace

import pytest
from hypothesis import given, strategies
from longtail.server.rpc.tokens.recommendation import MAX_TOKEN, RecommendedList, TokenCodec

KEY = b"store"
single = strategies.floats(0, 1, width=32)


def recommended(
    *item_ids: str, propensities: tuple[float, ...] = (), user_id: str = "ann"
) -> RecommendedList:
    return RecommendedList.new(
        user_id=user_id,
        time=1_800_000_000_000_000,
        revision=7,
        strength=0.25,
        relevance_loss=0.0625,
        tail_fraction=0.5,
        item_ids=item_ids,
        propensities=propensities or (1.0,) * len(item_ids),
    )


def refused(codec: TokenCodec, token: str) -> None:
    assert codec.decode(token) is None


@given(
    strategies.builds(
        RecommendedList,
        id=strategies.binary(min_size=12, max_size=12),
        user_id=strategies.text(max_size=256),
        time=strategies.integers(-(2**63), 2**63 - 1),
        revision=strategies.integers(0, 2**64 - 1),
        strength=single,
        relevance_loss=single,
        tail_fraction=single,
        item_hashes=strategies.lists(strategies.integers(0, 2**32 - 1), max_size=100).map(tuple),
        propensities=strategies.just(()),
    ),
    strategies.data(),
)
def test_a_token_holds_its_list(given_out: RecommendedList, data: strategies.DataObject) -> None:
    count = len(given_out.item_hashes)
    drawn = data.draw(strategies.lists(single, min_size=count, max_size=count))
    whole = replace(given_out, propensities=tuple(drawn))
    # Another process of the store has a codec of its own.
    assert TokenCodec(KEY).decode(TokenCodec(KEY).encode(whole)) == whole


def test_an_item_has_the_rank_of_its_place() -> None:
    listed = recommended("a", "b", "c")
    assert [listed.rank_of(item_id) for item_id in ("a", "b", "c", "d")] == [1, 2, 3, None]


def test_each_list_has_an_id_of_its_own() -> None:
    first, second = recommended("a"), recommended("a")
    assert len(first.id) == 12
    assert first.id != second.id
    assert first.item_hashes == second.item_hashes


def test_what_is_drawn_alone_takes_place_for_its_propensity() -> None:
    codec = TokenCodec(KEY)
    ids = [str(number) for number in range(10)]
    plain = codec.encode(recommended(*ids))
    drawn = codec.encode(recommended(*ids, propensities=(*(1.0,) * 9, 0.25)))
    assert len(plain) < 150
    assert 0 < len(drawn) - len(plain) < 10
    read = codec.decode(drawn)
    assert read is not None
    assert read.propensities == (*(1.0,) * 9, 0.25)


def test_the_longest_token_is_within_the_bound() -> None:
    ids = [str(number) for number in range(100)]
    longest = recommended(*ids, propensities=(0.5,) * 100, user_id="𝄞" * 256)
    token = TokenCodec(KEY).encode(longest)
    assert len(token) == MAX_TOKEN
    assert TokenCodec(KEY).decode(token) == longest


def test_a_changed_token_is_refused() -> None:
    codec = TokenCodec(KEY)
    token = codec.encode(recommended("a", "b"))
    for place, character in enumerate(token):
        other = "B" if character == "A" else "A"
        refused(codec, token[:place] + other + token[place + 1 :])
    for length in range(len(token)):
        refused(codec, token[:length])


def test_a_token_is_written_in_one_way_only() -> None:
    codec = TokenCodec(KEY)
    # 16 and 42 bytes, 4 of an item, 3 of the person: the last character has four bits of its own.
    token = codec.encode(recommended("a", user_id="bob"))
    assert len(token) % 4 == 3
    for variant in (token + "=", token + " ", token[:-1] + chr(ord(token[-1]) + 1)):
        refused(codec, variant)


@pytest.mark.parametrize(
    "token",
    ["", "x", "é", "a b c", "=" * 8, "A" * 40, "A" * (MAX_TOKEN + 1)],
)
def test_what_is_no_token_is_refused(token: str) -> None:
    refused(TokenCodec(KEY), token)


def test_the_token_of_another_store_is_refused() -> None:
    refused(TokenCodec(KEY), TokenCodec(b"other").encode(recommended("a")))


def test_a_token_whose_content_was_exchanged_is_refused() -> None:
    codec = TokenCodec(KEY)
    token = codec.encode(recommended("a"))
    content = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    struct.pack_into("<f", content, 16 + 12 + 8 + 8 + 4, 0.0)
    refused(codec, base64.urlsafe_b64encode(content).decode().rstrip("="))
