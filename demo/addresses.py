"""Find out before anything is started whether an address can be listened on.

Found later, it would be one line in the log of a process that is already gone.
"""

import errno
import os
import socket
from collections.abc import Mapping

DEFAULTS: Mapping[str, str] = {
    "LONGTAIL_SERVER_ADDRESS": "127.0.0.1:50051",
    "LONGTAIL_WORKER_ADDRESS": "127.0.0.1:50052",
    "LONGTAIL_SERVER_METRICS_ADDRESS": "127.0.0.1:9464",
    "LONGTAIL_WORKER_METRICS_ADDRESS": "127.0.0.1:9465",
}


class AddressError(Exception):
    """An address cannot be used; the message names it and the variable that changes it."""


def free_address(variable: str, environment: Mapping[str, str]) -> str:
    """Return the address (host:port) in `variable`, or its default, if nothing listens there.

    Raises AddressError.
    """
    address = environment.get(variable) or DEFAULTS[variable]
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise AddressError(f"{variable}={address!r} is not host:port")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        for family, kind, protocol, _, target in found:
            with socket.socket(family, kind, protocol) as probe:
                # As the servers do: a connection that ended a moment ago does not hold the port.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(target)
    except OSError as error:
        why = "is already taken" if error.errno == errno.EADDRINUSE else f"cannot be used: {error}"
        raise AddressError(f"{address} {why}; set {variable} to another host:port") from error
    return address


def free_addresses(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return every address of the demo by its variable. Raises AddressError."""
    return {variable: free_address(variable, environment) for variable in DEFAULTS}
