"""The folder that a run leaves: `report.json`, the plots and `index.html`."""

import json
from collections.abc import Mapping
from pathlib import Path

from evaluation.report.document import base_document, document
from evaluation.report.page import page
from evaluation.report.plots import plots
from evaluation.report.results import BaseTable, Report


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


def write_base(table: BaseTable, folder: Path) -> None:
    """Write `base.json`, the part of `report.json` on the recommenders underneath, alone."""
    text = json.dumps(base_document(table), indent=1, allow_nan=False)
    _put({"base.json": text.encode()}, folder)


def _put(files: Mapping[str, bytes], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        coming = folder / f".{name}.part"
        coming.write_bytes(content)
        coming.replace(folder / name)
