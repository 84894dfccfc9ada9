"""The folder that a run leaves: `report.json`, the plots and `index.html`."""

import json
from collections.abc import Mapping
from pathlib import Path

from evaluation.report.document import document, part
from evaluation.report.page import page
from evaluation.report.plots import plots
from evaluation.report.results import Part, Report


def write(report: Report, folder: Path) -> None:
    """Write all files into `folder`, which is made where there is none.

    Each is written under another name first and then renamed, so none is ever seen half. The page
    holds its pictures itself and can be passed on alone.
    """
    pictures = plots(report)
    text = json.dumps(document(report), indent=1, allow_nan=False)
    files = {
        "report.json": text.encode(),
        **pictures,
        "index.html": page(report, pictures).encode(),
    }
    _put(files, folder)


def write_part(name: str, found: Part, folder: Path) -> Path:
    """Write a part of the report that was had alone as `name`.json; return the file."""
    text = json.dumps(part(found), indent=1, allow_nan=False)
    _put({f"{name}.json": text.encode()}, folder)
    return folder / f"{name}.json"


def _put(files: Mapping[str, bytes], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        coming = folder / f".{name}.part"
        coming.write_bytes(content)
        coming.replace(folder / name)
