"""How a client of ours connects: where to, with which retries, and what keeps the connection alive.

The retries are gRPC's own, from `service_config.json`, so a client in another language that loads
the same file behaves the same.
"""

import os
from importlib.resources import files

ADDRESS_VARIABLE = "LONGTAIL_SERVER_ADDRESS"
DEFAULT_ADDRESS = "127.0.0.1:50051"
MAX_MESSAGE_BYTES = 16 * 2**20


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
