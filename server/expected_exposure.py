"""How often each item is expected to be shown, as a fit found it: a file beside the profile.

Item prices start from it, until recorded impressions outweigh it. It has a line for every item, so
it is no part of the profile, which people read.
"""

import csv
import math
from collections.abc import Mapping
from pathlib import Path

from server.ranking.profile import ProfileError

HEADER = ["item_id", "exposure"]


def exposure_path(profile: Path) -> Path:
    """Return where the exposure of a profile is."""
    return profile.with_suffix(".exposure.csv")


def write_exposure(exposure: Mapping[str, float], profile: Path) -> None:
    """Write the exposure of items by id, 1 being the average of the catalogue."""
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
            rows = csv.reader(file)
            if next(rows, None) != HEADER:
                raise ProfileError(f"{path}: the first line is not {','.join(HEADER)}")
            return dict(_entry(path, number, row) for number, row in enumerate(rows, 2))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ProfileError(f"{path}: {error}") from None


def _entry(path: Path, number: int, row: list[str]) -> tuple[str, float]:
    try:
        item_id, text = row
        value = float(text)
    except ValueError:
        raise ProfileError(f"{path}: line {number} is no item_id and number") from None
    if not math.isfinite(value) or value < 0:
        raise ProfileError(f"{path}: line {number} has the exposure {text}")
    return item_id, value
