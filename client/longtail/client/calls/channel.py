"""How a client of ours connects: where to, as whom, with which retries, and what keeps it alive.

The retries are gRPC's own, from `service_config.json`, so a client in another language that loads
the same file behaves the same.
"""

import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import grpc
import grpc.aio

ADDRESS_VARIABLE = "LONGTAIL_SERVER_ADDRESS"
DEFAULT_ADDRESS = "127.0.0.1:50051"
KEY_VARIABLE, KEY_FILE_VARIABLE = "LONGTAIL_API_KEY", "LONGTAIL_API_KEY_FILE"
AUTHORITIES_VARIABLE = "LONGTAIL_CA"
CERTIFICATE_VARIABLE, PRIVATE_KEY_VARIABLE = "LONGTAIL_CERTIFICATE", "LONGTAIL_PRIVATE_KEY"
# The authorities that gRPC brings along.
WELL_KNOWN = "well-known"
MAX_PORT = 2**16 - 1
MAX_MESSAGE_BYTES = 16 * 2**20

# What gRPC resolves itself: https://github.com/grpc/grpc/blob/master/doc/naming.md
_TARGETS = ("dns:", "unix:", "unix-abstract:", "ipv4:", "ipv6:", "vsock:", "xds:")
_LOOPBACK = ("127.", "localhost:", "[::1]", "unix:", "unix-abstract:")

Metadata = tuple[tuple[str, str], ...]
# What tells one content of a file from the next: inode, time of change, size.
Mark = tuple[int, int, int]


@dataclass(frozen=True)
class Access:
    """As whom a client comes, and whom it believes; "" stands for none.

    `key` is an API key, or `key_file` the file of one. With `authorities`, the PEM file of those
    that the server's certificate is from, or "well-known" for the usual ones, the connection is
    encrypted; `certificate` and `private_key` are PEM files of a certificate of the client's own.
    A client goes by what the files hold when they are replaced.
    """

    key: str = field(default="", repr=False)
    authorities: str = ""
    certificate: str = ""
    private_key: str = ""
    key_file: str = ""

    @classmethod
    def from_environment(cls) -> "Access":
        """Return what LONGTAIL_API_KEY or _API_KEY_FILE, _CA, _CERTIFICATE, _PRIVATE_KEY say."""
        variables = (
            KEY_VARIABLE,
            AUTHORITIES_VARIABLE,
            CERTIFICATE_VARIABLE,
            PRIVATE_KEY_VARIABLE,
            KEY_FILE_VARIABLE,
        )
        return cls(*(os.environ.get(variable, "") for variable in variables))

    @property
    def metadata(self) -> Metadata:
        """What each call carries; raises OSError."""
        key = Path(self.key_file).read_text("utf-8").strip() if self.key_file else self.key
        return (("authorization", f"Bearer {key}"),) if key else ()

    def mark(self) -> tuple[Mark, ...]:
        """Return what changes with the files; raise OSError."""
        authorities = "" if self.authorities == WELL_KNOWN else self.authorities
        names = (authorities, self.certificate, self.private_key, self.key_file)
        found = [Path(name).stat() for name in names if name]
        return tuple((each.st_ino, each.st_mtime_ns, each.st_size) for each in found)

    def check(self) -> None:
        """Raise OSError or ValueError when the files do not fit each other, or cannot be read."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.certificate:
            # Without a password of its own OpenSSL would ask for one at the terminal.
            context.load_cert_chain(self.certificate, self.private_key, password="")
        if self.authorities and self.authorities != WELL_KNOWN:
            context.load_verify_locations(self.authorities)

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


class AddressError(ValueError):
    """An address that leads to no server; the message says why."""


def check_address(address: str) -> None:
    """Raise AddressError when an address is neither host:port nor a target of gRPC's own."""
    if address.startswith(_TARGETS):
        return
    if "://" in address:
        raise AddressError(f"the address is host:port, without the scheme of {address!r}")
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isdigit()) or (":" in host and not host.endswith("]")):
        raise AddressError(f"the address {address!r} has no port: it is host:port")
    if not 0 < int(port) <= MAX_PORT:
        # gRPC takes what is left of it over 65,536.
        raise AddressError(f"the address {address!r} has no port that there is: up to {MAX_PORT:,}")


def open_channel(address: str, access: Access) -> grpc.Channel:
    """Connect; raise OSError when a file of `access` cannot be read."""
    credentials = access.credentials()
    if credentials is None:
        return grpc.insecure_channel(address, options=channel_options(address))
    return grpc.secure_channel(address, credentials, options=channel_options(address))


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


def channel_options(address: str) -> list[tuple[str, str | int]]:
    """Return the options of a channel to an address, for `grpc` and `grpc.aio` alike."""
    retries = files("longtail.client.calls").joinpath("service_config.json").read_text("utf-8")
    return [
        ("grpc.service_config", retries),
        # A proxy of the environment's is for other machines.
        ("grpc.enable_http_proxy", 0 if address.startswith(_LOOPBACK) else 1),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        # A server with gRPC's own settings hangs up (too_many_pings) on who pings more often than
        # every 5 minutes while nothing is sent, even if a call is waiting. Without a call there are
        # no pings: the next one notices a dead connection, when nobody acknowledges its bytes
        # within the time-out.
        ("grpc.keepalive_time_ms", 300_000),
        ("grpc.keepalive_timeout_ms", 10_000),
    ]
