"""Where the workers are: addresses as they are given, and DNS names that stand for several."""

import logging
import socket
from asyncio import get_running_loop
from collections.abc import Awaitable, Callable, Sequence

logger = logging.getLogger(__name__)

# One worker at each address of the name.
DNS = "dns:///"

# host:port to addresses; raises OSError when the name is not known now.
Resolve = Callable[[str], Awaitable[Sequence[str]]]


def parse_addresses(text: str) -> Sequence[str]:
    """Return the addresses in a list that is separated by commas, each once.

    Raises ValueError that goes on after the text.
    """
    addresses = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    # A password may be beside the name, so nothing of it is said.
    if any("@" in address and not address.startswith("unix:") for address in addresses):
        raise ValueError("names a user, which no worker has")
    if not addresses:
        raise ValueError("names no worker")
    for address in addresses:
        host, _, port = address.removeprefix(DNS).rpartition(":")
        if not host or (address.startswith(DNS) and not port.isdecimal()):
            raise ValueError(f"has {address!r}, which is not host:port")
    return addresses


async def resolve(name: str) -> Sequence[str]:
    """Return every address of host:port, in order; raise OSError when there is none.

    A host that has addresses of both kinds is meant once, so those of IPv6 are taken only alone.
    """
    host, _, port = name.rpartition(":")
    found = await get_running_loop().getaddrinfo(
        host.strip("[]"), int(port), type=socket.SOCK_STREAM
    )
    kinds = {family for family, *_ in found}
    wanted = socket.AF_INET if socket.AF_INET in kinds else socket.AF_INET6
    hosts = sorted({str(address[0]) for family, *_, address in found if family == wanted})
    return [f"[{host}]:{port}" if wanted == socket.AF_INET6 else f"{host}:{port}" for host in hosts]


async def current_addresses(
    addresses: Sequence[str], known: Sequence[str], resolve: Resolve
) -> Sequence[str]:
    """Return the addresses of single workers; those `known` stay when a name cannot be resolved."""
    current: list[str] = []
    for address in addresses:
        if not address.startswith(DNS):
            current.append(address)
            continue
        try:
            current += await resolve(address.removeprefix(DNS))
        # A name that can be none, such as one with an empty label, is a UnicodeError.
        except (OSError, UnicodeError) as error:
            logger.warning("cannot resolve name=%s error=%s", address, error)
            current += [each for each in known if each not in addresses]
    return list(dict.fromkeys(current))
