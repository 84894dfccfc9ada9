"""The addresses that a process listens on, and one sentence for those that it cannot have.

gRPC takes another port for one that is missing or too large, and of the addresses of a name it is
content with some. So what is no address is refused when settings are read, and what is taken is
found here, before anything is loaded.
"""

import errno
import ipaddress
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self

_HOST_AND_PORT = re.compile(r"(\[[^\[\]]+\]|[^:\[\]]+):([0-9]{1,5})")
_LAST_PORT = 65_535
# A name may stand for addresses of a family that this machine does without.
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


@dataclass(frozen=True)
class ListenAddress:
    """A host, with an address of IPv6 in brackets, and a port; the system chooses for port 0.

    It is what the environment's `variable` says, or `beyond` ports further.
    """

    variable: str
    host: str
    port: int
    beyond: int = 0

    @classmethod
    def parse(cls, variable: str, text: str) -> Self:
        """Return the address in `text`; raise ValueError that goes on after it."""
        found = _HOST_AND_PORT.fullmatch(text)
        if found is None or int(found[2]) > _LAST_PORT:
            raise ValueError("is not host:port")
        return cls(variable, found[1], int(found[2]))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def bare_host(self) -> str:
        """The host as sockets are given it."""
        return self.host.strip("[]")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it; a name that is not known now is reached by all."""
        try:
            found = socket.getaddrinfo(self.bare_host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return False
        return all(ipaddress.ip_address(target[0]).is_loopback for *_, target in found)

    def further(self, count: int) -> Self:
        """Return the address that is `count` ports further; port 0 stays 0.

        Raises CannotListen when there is no such port.
        """
        if self.port == 0:
            return self
        moved = replace(self, port=self.port + count, beyond=self.beyond + count)
        if moved.port > _LAST_PORT:
            raise CannotListen(moved, OSError("there is no such port"))
        return moved

    def check(self) -> None:
        """Raise CannotListen when somebody else listens there, or nobody can."""
        with self.reserved():
            pass

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """Hold the address without listening, so that only who sets SO_REUSEPORT can listen there.

        Raises CannotListen.
        """
        with ExitStack() as held:
            try:
                found = socket.getaddrinfo(self.bare_host, self.port, type=socket.SOCK_STREAM)
                sockets = [_bound(family, target, held) for family, _, _, _, target in found]
                if not any(sockets):
                    raise OSError(errno.EADDRNOTAVAIL, "no such address on this machine")
            except (OSError, UnicodeError) as error:
                raise CannotListen(self, error) from error
            yield


class CannotListen(OSError):
    """An address cannot be listened on; the message names it, and what to do."""

    def __init__(
        self, address: ListenAddress, reason: OSError | UnicodeError | RuntimeError
    ) -> None:
        why = reason.strerror if isinstance(reason, OSError) and reason.strerror else str(reason)
        stop = "stop what listens there, or " if _is_taken(reason) else ""
        ports = f", from which this is {address.beyond} further," if address.beyond else ""
        super().__init__(
            f"cannot listen on {address}: {why}; {stop}set {address.variable}{ports} to "
            f"another host:port"
        )


def _bound(family: int, target: tuple[Any, ...], held: ExitStack) -> bool:
    """Hold one of the addresses of a name until `held` ends; return whether this machine has it."""
    try:
        reservation = held.enter_context(socket.socket(family, socket.SOCK_STREAM))
        # With SO_REUSEADDR, connections of an earlier server that are still closing are no
        # hindrance, while one that listens is. Set before the bind, SO_REUSEPORT would let us in
        # beside others; set after it, it lets in who comes for this address, without a gap.
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reservation.bind(target)
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise
        return False
    return True


def _is_taken(reason: Exception) -> bool:
    return isinstance(reason, OSError) and reason.errno == errno.EADDRINUSE
