import base64

import pytest
from longtail.runtime.errors import InvalidArgument
from longtail.server.rpc.tokens.page import decode_token, encode_token


@pytest.mark.parametrize("position", [b"", b"film", bytes(range(256))])
def test_a_token_holds_its_position(position: bytes) -> None:
    token = encode_token(("List", "ann", ""), position)
    assert decode_token(("List", "ann", ""), token) == position


@pytest.mark.parametrize(
    "arguments", [("List", "", "ann"), ("List", "ann"), ("Other", "ann", ""), ("Listann", "", "")]
)
def test_a_token_is_good_for_its_arguments_only(arguments: tuple[str, ...]) -> None:
    token = encode_token(("List", "ann", ""), b"film")
    with pytest.raises(InvalidArgument, match="page_token"):
        decode_token(arguments, token)


def test_a_changed_token_is_refused() -> None:
    content = bytearray(base64.urlsafe_b64decode(encode_token(("List",), b"film")))
    for position in range(len(content)):
        changed = content.copy()
        changed[position] ^= 1
        with pytest.raises(InvalidArgument):
            decode_token(("List",), base64.urlsafe_b64encode(changed).decode())
