import socket
from dataclasses import asdict

import pytest
from longtail.runtime.listening import CannotListen
from longtail.runtime.settings import SettingsError
from longtail.server.settings import Settings
from longtail.worker.settings import WorkerSettings

from demo.addresses import Addresses, free_addresses
from tests.processes import free_address

VARIABLES = [address["variable"] for address in asdict(Addresses()).values()]


def free() -> dict[str, str]:
    return {variable: free_address() for variable in VARIABLES}


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_taken_address_is_named_with_its_variable(variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = f"127.0.0.1:{holder.getsockname()[1]}"
        with pytest.raises(CannotListen, match=f"{taken}: Address already in use; .* {variable} "):
            free_addresses(free() | {variable: taken})


def test_free_addresses_are_returned_as_they_were_given() -> None:
    given = free()
    found = free_addresses(given)
    assert [str(found.server), str(found.server_metrics)] == [given[name] for name in VARIABLES[:2]]


@pytest.mark.parametrize("address", ["50051", "localhost", "localhost:0", "localhost:70000", ":1"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(SettingsError, match=f"{VARIABLES[0]}='?{address}'?.* (is not|needs) "):
        free_addresses(free() | {VARIABLES[0]: address})


def test_the_defaults_are_those_of_the_processes() -> None:
    server, worker = Settings(), WorkerSettings()
    assert Addresses() == Addresses(
        server.address, server.metrics_address, worker.address, worker.metrics_address
    )
