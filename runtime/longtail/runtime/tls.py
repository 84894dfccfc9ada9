"""TLS from files: what a process shows and whom it believes, read again when the files change."""

import logging
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path

import grpc

logger = logging.getLogger(__name__)

# What tells one content of a file from the next: inode, time of change, size.
Mark = tuple[int, int, int]


class TlsError(Exception):
    """The files are of no use for TLS; the message says why."""


@dataclass(frozen=True)
class TlsFiles:
    """PEM files: a certificate chain with its private key, and the authorities that are believed.

    A server has the first two, and `authorities` where clients need a certificate. A client has
    `authorities`, and the first two where the server wants to know it. Empty: none.
    """

    certificate: str = ""
    private_key: str = ""
    authorities: str = ""

    def check(self) -> None:
        """Raise TlsError when the files do not fit each other, or cannot be read."""
        try:
            self.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        except (OSError, ValueError) as error:
            names = ", ".join(map(str, self._paths()))
            raise TlsError(f"{names} cannot be used for TLS: {error}") from None

    def load_into(self, context: ssl.SSLContext) -> None:
        """Have a context of Python's own use the files; raises OSError, as ssl.SSLError is."""
        if self.certificate:
            # Without a password of its own OpenSSL would ask for one at the terminal.
            context.load_cert_chain(self.certificate, self.private_key, password="")
        if self.authorities:
            context.load_verify_locations(self.authorities)
            context.verify_mode = ssl.CERT_REQUIRED

    def mark(self) -> tuple[Mark, ...]:
        """Return what changes with the files; raises OSError."""
        found = [path.stat() for path in self._paths()]
        return tuple((each.st_ino, each.st_mtime_ns, each.st_size) for each in found)

    def contents(self) -> tuple[bytes | None, bytes | None, bytes | None]:
        """Return certificate, private key and authorities, None for what there is not."""
        certificate, private_key, authorities = (
            Path(name).read_bytes() if name else None
            for name in (self.certificate, self.private_key, self.authorities)
        )
        return certificate, private_key, authorities

    def _paths(self) -> list[Path]:
        return [
            Path(name) for name in (self.certificate, self.private_key, self.authorities) if name
        ]


class FollowedFiles:
    """TLS files and their last content that was of use. Raises TlsError when they are of none."""

    def __init__(self, files: TlsFiles) -> None:
        self.files = files
        files.check()
        self._mark = files.mark()
        self.contents = files.contents()
        # gRPC asks from threads of its own.
        self._lock = threading.Lock()

    def refresh(self) -> bool:
        """Take over what the files hold now; return whether it is new, and of use."""
        with self._lock:
            try:
                mark = self.files.mark()
                if mark == self._mark:
                    return False
                self._mark = mark
                self.files.check()
                self.contents = self.files.contents()
            except (OSError, TlsError) as error:
                # Told once for a content: while one file is new, and the other not yet, too.
                logger.error("certificate not changed: %s", error)
                return False
        logger.info("certificate changed path=%s", self.files.certificate or self.files.authorities)
        return True


def server_credentials(followed: FollowedFiles) -> grpc.ServerCredentials:
    """Return what a server shows: to each new connection what the files hold then."""
    shown = followed.contents

    def configuration() -> grpc.ServerCertificateConfiguration:
        certificate, private_key, authorities = shown
        pair = (private_key or b"", certificate or b"")
        return grpc.ssl_server_certificate_configuration([pair], authorities)

    def changed() -> grpc.ServerCertificateConfiguration:
        nonlocal shown
        followed.refresh()
        if shown is not followed.contents:
            shown = followed.contents
            return configuration()
        # grpc's types say that there is always a new one; its documents, that this is no change.
        return None  # type: ignore[return-value]

    return grpc.dynamic_ssl_server_credentials(
        configuration(),
        changed,
        require_client_authentication=bool(followed.files.authorities),
    )


def channel_credentials(followed: FollowedFiles) -> grpc.ChannelCredentials:
    """Return what a client shows and believes by the last content of its files."""
    certificate, private_key, authorities = followed.contents
    return grpc.ssl_channel_credentials(authorities, private_key, certificate)
