"""Where traces go: an OTLP receiver, if there is one. What sends them is loaded only then."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

from longtail.runtime.settings import SettingsError
from longtail.runtime.tracing import Tracer

DEFAULT_PORT = 4317


class Receiver(NamedTuple):
    """An OTLP receiver at `target`, host:port, that speaks TLS or not."""

    target: str
    secure: bool

    @classmethod
    def parse(cls, endpoint: str) -> "Receiver":
        """Return the receiver at a URL; raise ValueError, which says what it is not."""
        try:
            found = urlsplit(endpoint)
            host, port = found.hostname, found.port or DEFAULT_PORT
        except ValueError:
            host = None
        if not host or found.scheme not in ("http", "https") or _has_more(found.path, endpoint):
            raise ValueError("is not http://host:port, or https://host:port")
        shown = f"[{host}]" if ":" in host else host
        return cls(f"{shown}:{port}", found.scheme == "https")


@contextmanager
def tracing_to(
    endpoint: str, authorities: str, service: str, ratio: float
) -> Iterator[Tracer | None]:
    """Have calls traced to `endpoint` while the block lasts; give None where that is empty.

    `authorities`: the PEM file of those who may vouch for the receiver, "" for the usual ones.
    `service` is what the process, and its distribution, are called. Raises SettingsError.
    """
    if not endpoint:
        yield None
        return
    try:
        from longtail.runtime.span_export import SpanExport, connected
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"LONGTAIL_TRACES_ENDPOINT needs {error.name}: pip install '{service}[tracing]'"
        ) from None
    try:
        channel = connected(Receiver.parse(endpoint), authorities)
    except OSError as error:
        raise SettingsError(f"LONGTAIL_TRACES_CA={authorities!r}: {error.strerror}") from None
    with channel:
        export = SpanExport(channel, service)
        try:
            yield Tracer(export.send, ratio)
        finally:
            export.close()


def _has_more(path: str, endpoint: str) -> bool:
    """Say whether a URL has a user, a path, or what follows one."""
    return bool(path.strip("/")) or any(mark in endpoint for mark in "@?#")
