"""The command line of a process: a flag for each of its settings, and `--check`."""

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from longtail.runtime import setting_names
from longtail.runtime.control_characters import escaped
from longtail.runtime.settings import Given, describe, find

_METAVAR = "VALUE"


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, with the nearest flag for one that there is not."""

    def __init__(self, program: str, description: str) -> None:
        super().__init__(
            prog=program,
            description=description,
            usage=f"{program} [--config FILE] [--check] [--FLAG {_METAVAR} ...]",
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """Say what is wrong in a line, and exit with 2."""
        unknown = message.removeprefix("unrecognized arguments: ")
        if unknown != message:
            name = unknown.split()[0].partition("=")[0]
            near = setting_names.nearest(name, self._option_string_actions)
            message = f"{name} is no flag of it; the nearest is {near}"
        self.exit(2, f"{self.prog}: {message}\n")


class _Once(argparse.Action):
    """Takes a flag that says one thing: of two the first would be lost without a word."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Note the value; raise ArgumentError where there is one already."""
        if getattr(namespace, self.dest) is not None:
            raise argparse.ArgumentError(self, "is given twice")
        setattr(namespace, self.dest, values)


def add_file(parser: argparse.ArgumentParser) -> None:
    """Add the flag that names the file of settings."""
    parser.add_argument(
        "--config",
        action=_Once,
        dest=setting_names.FILE,
        metavar="FILE",
        help=f"TOML file of settings; or {setting_names.FILE} names it",
    )


def add_flags(parser: argparse.ArgumentParser, settings: type[Any]) -> None:
    """Add `--config`, `--check` and a flag for each field of `settings`."""
    add_file(parser)
    parser.add_argument(
        "--check",
        action="store_true",
        help="print the settings as they would count, as a file with where each was set, and exit",
    )
    group = parser.add_argument_group(
        "settings",
        "Of one setting a flag, --index-links, counts before the variable of the environment, "
        "LONGTAIL_INDEX_LINKS, and that before the key in the file, index_links.",
    )
    for variable, default, text in describe(settings):
        group.add_argument(
            setting_names.flag(variable),
            action=_Once,
            dest=variable,
            metavar=_METAVAR,
            help=f"{text} (default: {default or 'empty'})".replace("%", "%%"),
        )


def find_with_flags(options: argparse.Namespace) -> Mapping[str, Given]:
    """Return what flags, environment and file give; raises SettingsError as `find` does."""
    flags = {name: text for name, text in vars(options).items() if _is_ours(name) and text}
    return find(os.environ, flags)


def hand_down(given: Mapping[str, Given]) -> None:
    """Have processes that this one starts read the same, whatever becomes of the file."""
    os.environ.update({name: each.text for name, each in given.items() if _is_ours(name)})
    os.environ.pop(setting_names.FILE, None)


def write_settings(settings: object, given: Mapping[str, Given]) -> None:
    """Print `settings` as a file of settings: each with where it was set, and no secret."""
    lines = []
    for declared in dataclasses.fields(settings):  # type: ignore[arg-type]  # is a dataclass
        metadata = declared.metadata
        found = given.get(metadata["variable"])
        value = getattr(settings, declared.name)
        name = setting_names.key(metadata["variable"])
        if metadata["secret"] and value:
            line = f"# {name} is set and not shown"
        else:
            plain = value if isinstance(value, int | float) else str(value)
            line = escaped(f"{name} = {json.dumps(plain, ensure_ascii=False)}")
        lines.append((line, escaped(found.place) if found else "default"))
    width = max(len(line) for line, _ in lines)
    sys.stdout.writelines(f"{line:{width}}  # {place}\n" for line, place in lines)


def _is_ours(name: str) -> bool:
    return name.startswith(setting_names.PREFIX)
