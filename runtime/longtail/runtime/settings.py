"""Settings as one frozen, documented object per process, read once from the environment."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from longtail.runtime.listening import ListenAddress

T = TypeVar("T")

_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


class SettingsError(Exception):
    """A variable has a value that cannot be used; the message names both."""


@dataclass(frozen=True)
class Bounds:
    """Closed interval a number must lie in."""

    low: float
    high: float


def setting(variable: str, default: T, help_text: str, bounds: Bounds | None = None) -> T:
    """Declare a dataclass field that is read from the environment variable `variable`.

    `help_text` says what the setting trades; it is what an operator reads.
    """
    metadata = {"variable": variable, "help": help_text, "bounds": bounds}
    declared: T = field(default=default, metadata=metadata)
    return declared


def listen_address(variable: str, default: str, help_text: str) -> ListenAddress:
    """Declare a field as `setting` does, for where the process listens: host:port."""
    return setting(variable, ListenAddress.parse(variable, default), help_text)


def check_pair(prefix: str, certificate: str, private_key: str) -> None:
    """Raise SettingsError when only one file of a certificate and its key is set.

    Their variables are `prefix` and _CERTIFICATE or _PRIVATE_KEY.
    """
    if bool(certificate) != bool(private_key):
        raise SettingsError(f"{prefix}_CERTIFICATE and {prefix}_PRIVATE_KEY belong together")


def check_closed(
    address: ListenAddress, missing: Sequence[str], *, trusted: bool, variable: str
) -> None:
    """Raise SettingsError when other machines reach an address and something is `missing` for that.

    `missing` says what to do, such as "set X"; `trusted` is what the environment's `variable` says.
    """
    if missing and not trusted and not address.is_loopback:
        raise SettingsError(
            f"{address.variable}={str(address)!r} is reached from other machines: "
            f"{', and '.join(missing)}; or set {variable}=true where whoever reaches it may do all"
        )


def load(settings: type[T], environment: Mapping[str, str]) -> T:
    """Read every declared field of `settings`; raise SettingsError on a value of no use."""
    values: dict[str, Any] = {}
    for declared in dataclasses.fields(settings):  # type: ignore[arg-type]  # T is a dataclass
        raw = environment.get(declared.metadata["variable"], "")
        if raw:
            values[declared.name] = _parse(raw, type(declared.default), declared.metadata)
    return settings(**values)


def describe(settings: type[Any]) -> list[tuple[str, str, str]]:
    """Return (variable, default, help) of every declared field."""
    return [
        (declared.metadata["variable"], str(declared.default), declared.metadata["help"])
        for declared in dataclasses.fields(settings)
    ]


def _parse(raw: str, kind: type[Any], metadata: Mapping[str, Any]) -> object:
    variable, bounds = metadata["variable"], metadata["bounds"]
    if kind is bool:
        if raw.lower() not in _TRUE | _FALSE:
            raise SettingsError(f"{variable}={raw!r} is neither true nor false")
        return raw.lower() in _TRUE
    if kind is ListenAddress:
        try:
            return ListenAddress.parse(variable, raw)
        except ValueError as error:
            raise SettingsError(str(error)) from error
    try:
        value = kind(raw)
    except ValueError as error:
        raise SettingsError(f"{variable}={raw!r} is not a {kind.__name__}") from error
    # Written so that NaN, which compares false with everything, is refused too.
    if bounds is not None and not bounds.low <= value <= bounds.high:
        raise SettingsError(f"{variable}={raw!r} is not in {bounds.low:g} to {bounds.high:g}")
    return value
