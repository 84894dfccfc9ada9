"""Where the worker and the server of the demo listen, found free before either is started.

Found later, it would be one line in the log of a process that is already gone.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields

from longtail.runtime.listening import ListenAddress
from longtail.runtime.settings import SettingsError, listen_address, load


@dataclass(frozen=True)
class Addresses:
    """What each process is told by its environment, or takes by itself."""

    server: ListenAddress = listen_address(
        "LONGTAIL_SERVER_ADDRESS", "127.0.0.1:50051", "Where the server listens."
    )
    server_metrics: ListenAddress = listen_address(
        "LONGTAIL_SERVER_METRICS_ADDRESS", "127.0.0.1:9464", "Where its metrics are."
    )
    worker: ListenAddress = listen_address(
        "LONGTAIL_WORKER_ADDRESS", "127.0.0.1:50052", "Where the worker listens."
    )
    worker_metrics: ListenAddress = listen_address(
        "LONGTAIL_WORKER_METRICS_ADDRESS", "127.0.0.1:9463", "Where its metrics are."
    )


def free_addresses(environment: Mapping[str, str] = os.environ) -> Addresses:
    """Return the addresses of the demo; raise SettingsError, or CannotListen when one is taken."""
    addresses = load(Addresses, environment)
    for field in fields(addresses):
        address: ListenAddress = getattr(addresses, field.name)
        if address.port == 0:
            raise SettingsError(f"{address.variable}={address}: the demo needs a port by number")
        address.check()
    return addresses
