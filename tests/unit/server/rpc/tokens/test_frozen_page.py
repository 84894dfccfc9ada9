import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from longtail.runtime.errors import InvalidArgument
from longtail.server.ranking.evidence import SIGNALS, PoolScale
from longtail.server.recommend.request import FrozenCandidates
from longtail.server.rpc.tokens.frozen_page import (
    MAX_IDS,
    MAX_TOKEN,
    MOST_SIGNALS,
    PACKED_BYTES,
    _arguments,
    decode_page,
    encode_page,
)
from longtail.server.rpc.tokens.page import encode_token
from longtail.v1 import recommendation_service_pb2 as pb

Request = pb.RecommendRequest

SCALE = PoolScale(
    np.array([0.1, 1 / 3, 2e-9, -5.0, 0.2, 0.7]), np.array([0.0, 1.0, 1e300, 0.5, 0.1, 0.3])
)


def head(*scale: float, signals: int = SIGNALS, packed: bool = True) -> bytes:
    values = (*scale, *[0.0] * (2 * signals - len(scale)))
    return struct.pack(f"<HB?{len(values)}d", 0, signals, packed, *values)


HEAD, PLAIN = head(), head(packed=False)


def request(**values: object) -> Request:
    return Request(query="a robot", user_id="ann", **values)  # type: ignore[arg-type]


def left(*item_ids: str, shown: int = 10) -> FrozenCandidates:
    return FrozenCandidates(item_ids, SCALE, shown)


def next_page(asked: Request, token: str) -> FrozenCandidates:
    following = Request()
    following.CopyFrom(asked)
    following.page_token = token
    return decode_page(following)


def refused(asked: Request) -> None:
    with pytest.raises(InvalidArgument) as caught:
        decode_page(asked)
    assert [violation.field for violation in caught.value.violations] == ["page_token"]


# What an id can be: 1 to 256 printable characters.
IDS = st.text(min_size=1, max_size=256).filter(str.isprintable)


@given(st.lists(IDS, min_size=1, max_size=50, unique=True), st.integers(0, 2**16 - 1))
def test_a_token_holds_what_is_left(item_ids: list[str], shown: int) -> None:
    found = next_page(request(), encode_page(request(), left(*item_ids, shown=shown)))
    assert found.item_ids == tuple(item_ids)
    assert found.shown == shown
    assert found.scale.mean.tolist() == SCALE.mean.tolist()
    assert found.scale.deviation.tolist() == SCALE.deviation.tolist()


def test_a_token_holds_the_signals_of_spaces_too() -> None:
    scale = PoolScale(np.linspace(0, 3, MOST_SIGNALS), np.linspace(1, 2, MOST_SIGNALS))
    found = next_page(request(), encode_page(request(), FrozenCandidates(("a",), scale, 3)))
    assert found.scale.mean.tolist() == scale.mean.tolist()
    assert found.scale.deviation.tolist() == scale.deviation.tolist()


@pytest.mark.parametrize("count", [1, 190, 500])
def test_few_ids_are_stored_and_many_are_packed(count: int) -> None:
    item_ids = [f"catalogue:{number:012}" for number in range(count)]
    size = sum(len(each) + 1 for each in item_ids) - 1
    token = encode_page(request(), left(*item_ids))
    assert next_page(request(), token).item_ids == tuple(item_ids)
    # As text a token takes a third more than its bytes.
    assert (len(token) > size) == (size < PACKED_BYTES)


def test_the_most_candidates_that_there_are_have_a_next_page() -> None:
    item_ids = [f"{number:04}" for number in range(MAX_IDS)]
    assert len(next_page(request(), encode_page(request(), left(*item_ids))).item_ids) == MAX_IDS


def test_there_is_no_page_after_the_last() -> None:
    assert encode_page(request(), left()) == ""


def test_what_may_differ_from_page_to_page() -> None:
    token = encode_page(request(page_token="the one before"), left("a"))
    free = request(page_size=50, explain=pb.EXPLAIN_NONE, include_items=True, min_revision=7)
    found = next_page(free, token)
    assert found.item_ids == ("a",)


@pytest.mark.parametrize(
    "other",
    [
        Request(query="a robot"),
        Request(query="a robot", user_id="bob"),
        request(seed=0),
        request(long_tail=pb.LongTail(strength=0.5)),
        request(exclude=pb.Exclusions(item_ids=["a"])),
        request(rules=[pb.Rule(boost=2, item_ids=["a"])]),
    ],
)
def test_a_token_is_good_for_its_request_only(other: Request) -> None:
    other.page_token = encode_page(request(), left("a"))
    refused(other)


def test_a_changed_token_is_refused() -> None:
    token = encode_page(request(), left("a", "b"))
    for at in range(len(token)):
        changed = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        refused(request(page_token=changed))
        refused(request(page_token=token[:at] or "?"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        HEAD[:-1],
        HEAD,
        HEAD + b"no zlib",
        HEAD + zlib.compress(b"a\nb")[:-1],
        HEAD + zlib.compress(b"a\nb") + b"more",
        HEAD + zlib.compress(b"\xff"),
        PLAIN,
        PLAIN + b"\xff",
        HEAD + zlib.compress(bytes(100_000_000)),
        HEAD + zlib.compress(b"\n".join(b"%d" % n for n in range(MAX_IDS + 1))),
        head(float("nan")) + zlib.compress(b"a"),
        head(*[0.0] * (2 * SIGNALS - 1), float("inf")) + zlib.compress(b"a"),
        head(signals=SIGNALS - 1) + zlib.compress(b"a"),
        head(signals=MOST_SIGNALS + 1) + zlib.compress(b"a"),
    ],
    ids=[
        "nothing",
        "half a head",
        "no ids",
        "not compressed",
        "cut off",
        "something after",
        "no text",
        "no plain ids",
        "no plain text",
        "a bomb",
        "more than any list has",
        "NaN",
        "infinite",
        "too few signals",
        "more signals than there are",
    ],
)
def test_a_token_that_somebody_made_up_is_refused(content: bytes) -> None:
    refused(request(page_token=encode_token(_arguments(request()), content)))


def test_an_overlong_token_is_refused_unread() -> None:
    refused(request(page_token="A" * (MAX_TOKEN + 1)))


def test_the_largest_page_there_can_be_fits() -> None:
    random = np.random.default_rng(5)
    # Characters of four bytes each, in an order that cannot be compressed.
    letters = random.integers(0x20000, 0x2A6D0, (2000, 256))
    ids = ["".join(map(chr, row)) for row in letters.tolist()]
    token = encode_page(request(), left(*ids))
    assert len(token) <= MAX_TOKEN
    found = next_page(request(), token)
    assert len(found.item_ids) == 2000
