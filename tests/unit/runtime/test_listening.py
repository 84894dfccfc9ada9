import socket
from collections.abc import Iterator

import pytest
from longtail.runtime.listening import CannotListen, ListenAddress

VARIABLE = "APP_ADDRESS"


def at(text: str) -> ListenAddress:
    return ListenAddress.parse(VARIABLE, text)


@pytest.fixture
def taken() -> Iterator[int]:
    """Return a port of 127.0.0.1 on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        yield holder.getsockname()[1]


@pytest.mark.parametrize("text", ["127.0.0.1:0", "localhost:50051", "[::1]:65535", "0.0.0.0:1"])
def test_an_address_is_shown_as_it_was_given(text: str) -> None:
    assert str(at(text)) == text


# gRPC listens on 443 for the first, on 80 for the second, on 4464 for the third.
@pytest.mark.parametrize("text", ["127.0.0.1", "127.0.0.1:http", "127.0.0.1:70000"])
def test_what_grpc_would_make_something_else_of_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^is not host:port$"):
        at(text)


@pytest.mark.parametrize(
    "text", ["", "50051", ":50051", "localhost:", "::1:50051", "a:1,b:2", "unix:/a", "localhost:٣"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^is not host:port$"):
        at(text)


def test_addresses_further_on() -> None:
    assert [str(at("[::1]:9464").further(count)) for count in range(2)] == [
        "[::1]:9464",
        "[::1]:9465",
    ]
    assert str(at("127.0.0.1:0").further(3)) == "127.0.0.1:0"
    with pytest.raises(CannotListen, match="65536: there is no such port"):
        at("127.0.0.1:65535").further(1)


def test_what_is_free_can_be_listened_on_afterwards() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        address = at(f"127.0.0.1:{holder.getsockname()[1]}")
    address.check()
    with socket.create_server(("127.0.0.1", address.port)):
        pass


def test_what_is_taken_is_named_with_what_to_do(taken: int) -> None:
    with pytest.raises(CannotListen) as caught:
        at(f"127.0.0.1:{taken}").check()
    assert str(caught.value) == (
        f"cannot listen on 127.0.0.1:{taken}: Address already in use; stop what listens there, or "
        "set APP_ADDRESS to another host:port"
    )
    with pytest.raises(CannotListen, match="or set APP_ADDRESS, from which this is 1 further, to "):
        at(f"127.0.0.1:{taken - 1}").further(1).check()


def test_a_name_is_taken_where_one_of_its_addresses_is(taken: int) -> None:
    with pytest.raises(CannotListen, match="already in use"):
        at(f"localhost:{taken}").check()


def test_a_name_needs_an_address_of_one_family_only(monkeypatch: pytest.MonkeyPatch) -> None:
    there = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 0))
    elsewhere = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("192.0.2.1", 0))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [elsewhere, there])
    at("name:0").check()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [elsewhere])
    with pytest.raises(CannotListen, match="name:0: no such address on this machine; set APP_"):
        at("name:0").check()


@pytest.mark.parametrize("text", ["192.0.2.1:5", "nowhere.invalid:5", "a..b:5"])
def test_what_this_machine_has_not_is_named_with_what_to_do(text: str) -> None:
    with pytest.raises(CannotListen, match=f"^cannot listen on {text}: .+; set {VARIABLE} to "):
        at(text).check()
