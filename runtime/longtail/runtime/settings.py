"""Settings as one frozen, documented object per process, read once: flags, environment, file.

What a flag says counts before the environment, and that before the file; what is empty is not set.
"""

import dataclasses
import os
import stat
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from longtail.runtime import setting_names
from longtail.runtime.control_characters import escaped
from longtail.runtime.listening import ListenAddress

T = TypeVar("T")

_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}
# Of a file of settings.
MAX_BYTES = 2**20
_NUMBERS = {int: "a whole number", float: "a number"}


class SettingsError(Exception):
    """What is set cannot be used; the message says where it is set, to what, and what may be."""

    def __init__(self, message: str) -> None:
        # What is quoted may be anything.
        super().__init__(escaped(message))


@dataclass(frozen=True)
class Bounds:
    """Closed interval a number must lie in."""

    low: float
    high: float


@dataclass(frozen=True)
class Given:
    """The text that is given for a setting, and where: a variable, a flag, or a key of a file."""

    text: str
    place: str


def setting(
    variable: str,
    default: T,
    help_text: str,
    bounds: Bounds | None = None,
    *,
    check: Callable[[str], object] | None = None,
    secret: bool = False,
) -> T:
    """Declare a dataclass field that is set by the environment's `variable`, its flag or its key.

    `help_text` says what the setting trades; it is what an operator reads. `check` raises
    ValueError for text of no use, whose message goes on after the text, such as "is not host:port".
    What is `secret` is shown nowhere.
    """
    metadata = {
        "variable": variable,
        "help": help_text,
        "bounds": bounds,
        "check": check,
        "secret": secret,
    }
    declared: T = field(default=default, metadata=metadata)
    return declared


def one_of(*allowed: str) -> Callable[[str], None]:
    """Return the check of a setting that has one of a few values, in whatever case."""

    def check(text: str) -> None:
        if text.lower() not in allowed:
            raise ValueError(f"is not one of {', '.join(allowed)}")

    return check


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
    """Return `settings` as a process without flags reads them; raises as `find` and `read` do."""
    return read(settings, find(environment))


def read(settings: type[T], given: Mapping[str, Given]) -> T:
    """Return `settings` with what is given; raise SettingsError on a value of no use."""
    values: dict[str, Any] = {}
    for declared in dataclasses.fields(settings):  # type: ignore[arg-type]  # T is a dataclass
        found = given.get(declared.metadata["variable"])
        if found is not None:
            values[declared.name] = _parse(found, declared)
    return settings(**values)


def find(
    environment: Mapping[str, str], flags: Mapping[str, str] | None = None
) -> Mapping[str, Given]:
    """Return what is given for each variable, from where it counts.

    `flags` are those of the command line, by the variables that they stand for. The file is the one
    that LONGTAIL_CONFIG names. Raises SettingsError for a name that nothing of ours reads.
    """
    flags = flags or {}
    for name in setting_names.unknown(environment):
        known = setting_names.SETTINGS | setting_names.OTHERS
        raise SettingsError(
            f"{name} is no variable of ours; the nearest is {setting_names.nearest(name, known)}"
        )
    path = flags.get(setting_names.FILE) or environment.get(setting_names.FILE)
    sources = [
        _read_file(path) if path else {},
        {name: Given(text, name) for name, text in environment.items()},
        {name: Given(text, setting_names.flag(name)) for name, text in flags.items()},
    ]
    return {name: each for source in sources for name, each in source.items() if each.text}


def describe(settings: type[Any]) -> list[tuple[str, str, str]]:
    """Return (variable, default, help) of every declared field."""
    return [
        (declared.metadata["variable"], str(declared.default), declared.metadata["help"])
        for declared in dataclasses.fields(settings)
    ]


def _read_file(path: str) -> dict[str, Given]:
    """Return what a file of settings says, by variable."""
    try:
        content = tomllib.loads(_text(path))
    except RecursionError:
        raise SettingsError(f"{path}: is nested too deeply") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(f"{path}: {why}") from error
    variables = {setting_names.key(variable): variable for variable in setting_names.SETTINGS}
    found = {}
    for key, value in content.items():
        if key not in variables:
            # It may be written as the variable is.
            near = setting_names.nearest(setting_names.key(key), variables)
            raise SettingsError(f"{path}: {key} is no setting; the nearest is {near}")
        if not isinstance(value, str | int | float):
            raise SettingsError(f"{path}: {key} is neither text, nor a number, nor true or false")
        found[variables[key]] = Given(_plain(value, f"{path}: {key}"), f"{path}: {key}")
    return found


def _text(path: str) -> str:
    """Return what a regular file holds; raise OSError, ValueError or SettingsError."""
    # To open a pipe would wait for somebody who writes, and a device may have no end.
    with open(path, "rb", opener=_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise SettingsError(f"{path}: is no regular file")
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise SettingsError(f"{path}: is over {MAX_BYTES} bytes")
    # Editors of Windows begin a file with a mark of its encoding.
    return content.decode("utf-8-sig")


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _plain(value: str | int | float, place: str) -> str:
    try:
        text = str(value)
    except ValueError:
        raise SettingsError(f"{place} has too many digits") from None
    if "\0" in text:
        raise SettingsError(f"{place} holds a NUL character")
    return text


def _parse(given: Given, declared: "dataclasses.Field[Any]") -> object:
    kind, metadata, text = type(declared.default), declared.metadata, given.text
    shown = given.place if metadata["secret"] else f"{given.place}={_without_user(text)!r}"
    try:
        if kind is ListenAddress:
            return ListenAddress.parse(metadata["variable"], text)
        if kind is bool:
            return _truth(text)
        if kind in _NUMBERS:
            return _number(text, kind, metadata["bounds"])
        if metadata["check"] is not None:
            metadata["check"](text)
    except ValueError as error:
        raise SettingsError(f"{shown} {error}") from error
    return text


def _without_user(text: str) -> str:
    """Hide who, and with which password, an address is for."""
    before, at, address = text.rpartition("@")
    scheme, mark, _ = before.partition("://")
    return f"{scheme if mark else ''}{mark}...@{address}" if at else text


def _truth(text: str) -> bool:
    if text.lower() not in _TRUE | _FALSE:
        raise ValueError("is neither true nor false")
    return text.lower() in _TRUE


def _number(text: str, kind: type[Any], bounds: Bounds | None) -> object:
    try:
        value = kind(text)
    except ValueError:
        raise ValueError(f"is not {_NUMBERS[kind]}") from None
    # Written so that NaN, which compares false with everything, is refused too.
    if bounds is not None and not bounds.low <= value <= bounds.high:
        raise ValueError(f"is not in {bounds.low:g} to {bounds.high:g}")
    return value
