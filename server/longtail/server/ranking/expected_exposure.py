"""How often each item is expected to be shown, as a fit found it: a file beside the profile.

Item prices start from it, until recorded impressions outweigh it. It has a line for every item, so
it is no part of the profile, which people read.
"""

import csv
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from longtail.server.ranking.profile import ProfileError

HEADER = ["item_id", "exposure"]


def exposure_path(profile: Path) -> Path:
    """Return where the exposure of a profile is."""
    return profile.parent / f"{profile.stem}.exposure.csv"


def write_exposure(exposure: Mapping[str, float], profile: Path) -> None:
    """Write the exposure of items by id, 1 being the average of the catalogue.

    Whoever reads it meanwhile gets the old one or the new one.
    """
    path = exposure_path(profile)
    new = path.with_name(path.name + ".new")
    with new.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(HEADER)
        rows.writerows((item_id, f"{value:.6g}") for item_id, value in exposure.items())
    new.replace(path)


def read_exposure(profile: Path) -> dict[str, float]:
    """Return the exposure of items by id; nothing when there is no file.

    Raises ProfileError that names the line which is wrong.
    """
    path = exposure_path(profile)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return _exposure(file)
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, ProfileError) as error:
        raise ProfileError(f"{path}: {error}") from None


def _exposure(lines: Iterable[str]) -> dict[str, float]:
    rows = csv.reader(lines, strict=True)
    try:
        header = next(rows, [])
        entries = dict(map(_entry, rows))
    except (csv.Error, ProfileError) as error:
        raise ProfileError(f"line {rows.line_num}: {error}") from None
    if header != HEADER:
        raise ProfileError(f"the first line is not {','.join(HEADER)}")
    return entries


def _entry(row: list[str]) -> tuple[str, float]:
    try:
        item_id, text = row
        value = float(text)
    except ValueError:
        raise ProfileError("no item_id and number") from None
    if not math.isfinite(value) or value < 0:
        raise ProfileError(f"the exposure is {text}")
    return item_id, value
