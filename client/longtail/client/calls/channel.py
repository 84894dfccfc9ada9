"""How a client of ours connects: where to, as whom, with which retries, and what keeps it alive.

The retries are gRPC's own, from `service_config.json`, so a client in another language that loads
the same file behaves the same.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import grpc
import grpc.aio

ADDRESS_VARIABLE = "LONGTAIL_SERVER_ADDRESS"
DEFAULT_ADDRESS = "127.0.0.1:50051"
KEY_VARIABLE = "LONGTAIL_API_KEY"
AUTHORITIES_VARIABLE = "LONGTAIL_CA"
CERTIFICATE_VARIABLE, PRIVATE_KEY_VARIABLE = "LONGTAIL_CERTIFICATE", "LONGTAIL_PRIVATE_KEY"
# The authorities that gRPC brings along.
WELL_KNOWN = "well-known"
MAX_MESSAGE_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Access:
    """As whom a client comes, and whom it believes; "" stands for none.

    `key` is an API key. With `authorities`, the PEM file of those that the server's certificate is
    from, or "well-known" for the usual ones, the connection is encrypted; `certificate` and
    `private_key` are PEM files of a certificate of the client's own.
    """

    key: str = field(default="", repr=False)
    authorities: str = ""
    certificate: str = ""
    private_key: str = ""

    @classmethod
    def from_environment(cls) -> "Access":
        """Return what LONGTAIL_API_KEY, LONGTAIL_CA, _CERTIFICATE and _PRIVATE_KEY say."""
        variables = (KEY_VARIABLE, AUTHORITIES_VARIABLE, CERTIFICATE_VARIABLE, PRIVATE_KEY_VARIABLE)
        return cls(*(os.environ.get(variable, "") for variable in variables))

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What each call carries."""
        return (("authorization", f"Bearer {self.key}"),) if self.key else ()

    def credentials(self) -> grpc.ChannelCredentials | None:
        """Return those of a channel, None for one without encryption; raise OSError."""
        if not self.authorities:
            return None
        well_known = self.authorities == WELL_KNOWN
        return grpc.ssl_channel_credentials(
            None if well_known else Path(self.authorities).read_bytes(),
            Path(self.private_key).read_bytes() if self.private_key else None,
            Path(self.certificate).read_bytes() if self.certificate else None,
        )


def open_channel(address: str, access: Access) -> grpc.Channel:
    """Connect; raise OSError when a file of `access` cannot be read."""
    credentials = access.credentials()
    if credentials is None:
        return grpc.insecure_channel(address, options=channel_options())
    return grpc.secure_channel(address, credentials, options=channel_options())


def open_aio_channel(
    address: str, access: Access, options: Sequence[tuple[str, str | int]]
) -> grpc.aio.Channel:
    """Connect; raise OSError when a file of `access` cannot be read."""
    credentials = access.credentials()
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=options)
    return grpc.aio.secure_channel(address, credentials, options=options)


def default_address() -> str:
    """Return host:port from `LONGTAIL_SERVER_ADDRESS`, else the server's own default."""
    return os.environ.get(ADDRESS_VARIABLE) or DEFAULT_ADDRESS


def channel_options() -> list[tuple[str, str | int]]:
    """Return the options of a channel, for `grpc` and `grpc.aio` alike."""
    retries = files("longtail.client.calls").joinpath("service_config.json").read_text("utf-8")
    return [
        ("grpc.service_config", retries),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        # A server with gRPC's own settings hangs up (too_many_pings) on who pings more often than
        # every 5 minutes while nothing is sent, even if a call is waiting. Without a call there are
        # no pings: the next one notices a dead connection, when nobody acknowledges its bytes
        # within the time-out.
        ("grpc.keepalive_time_ms", 300_000),
        ("grpc.keepalive_timeout_ms", 10_000),
    ]
