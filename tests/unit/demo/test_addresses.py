import socket

import pytest

from demo.addresses import DEFAULTS, AddressError, free_address
from tests.processes import free_address as unused_address

SERVER = "LONGTAIL_SERVER_ADDRESS"


@pytest.mark.parametrize("variable", sorted(DEFAULTS))
def test_a_taken_address_is_named_with_its_variable(variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = f"127.0.0.1:{holder.getsockname()[1]}"
        with pytest.raises(AddressError, match=f"{taken} is already taken; set {variable} "):
            free_address(variable, {variable: taken})


def test_a_free_address_is_returned_as_it_was_given() -> None:
    address = unused_address()
    assert free_address(SERVER, {SERVER: address}) == address


@pytest.mark.parametrize("address", ["50051", "localhost", "localhost:0", "localhost:70000", ":1"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(AddressError, match=f"{SERVER}='{address}' is not host:port"):
        free_address(SERVER, {SERVER: address})


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(AddressError, match=r"192\.0\.2\.1:50051 cannot be used"):
        free_address(SERVER, {SERVER: "192.0.2.1:50051"})
