from collections.abc import Sequence

import pytest
from longtail.server.encoder.addresses import current_addresses, parse_addresses, resolve


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("127.0.0.1:50052", ["127.0.0.1:50052"]),
        (" a:1, b:2 ,a:1,", ["a:1", "b:2"]),
        ("dns:///workers:50052,[::1]:3", ["dns:///workers:50052", "[::1]:3"]),
        ("unix:/run/worker@1", ["unix:/run/worker@1"]),
    ],
)
def test_a_list_of_addresses_is_read_each_once(text: str, addresses: Sequence[str]) -> None:
    assert parse_addresses(text) == addresses


@pytest.mark.parametrize(
    "text", ["", " , ", "worker", ":50052", "a:1,b", "dns:///workers", "dns:///a:b"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^names no worker$|^has .* which is not host:port$"):
        parse_addresses(text)


def test_a_user_is_refused_and_not_told() -> None:
    with pytest.raises(ValueError, match=r"^names a user, which no worker has$"):
        parse_addresses("a,ann:hunter2@b:1")


async def test_an_address_resolves_to_itself() -> None:
    assert await resolve("127.0.0.1:50052") == ["127.0.0.1:50052"]
    assert await resolve("[::1]:50052") == ["[::1]:50052"]


async def test_a_name_stands_for_all_its_addresses_among_the_others() -> None:
    async def two(name: str) -> Sequence[str]:
        assert name == "workers:1"
        return ["10.0.0.1:1", "10.0.0.2:1"]

    current = await current_addresses(["a:1", "dns:///workers:1", "10.0.0.2:1"], [], two)
    assert current == ["a:1", "10.0.0.1:1", "10.0.0.2:1"]


@pytest.mark.parametrize("error", [OSError("not known"), UnicodeError("label empty")])
async def test_a_name_that_is_not_known_now_keeps_its_workers(error: Exception) -> None:
    async def none(name: str) -> Sequence[str]:
        raise error

    current = await current_addresses(["a:1", "dns:///workers:1"], ["a:1", "10.0.0.1:1"], none)
    assert current == ["a:1", "10.0.0.1:1"]
