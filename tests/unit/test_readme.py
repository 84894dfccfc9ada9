"""The README is short, comes to the point, and its map is that of the tree."""

import re

from tests.documents import README
from tests.processes import ROOT

LINES = README.read_text().splitlines()
SERVER = ROOT / "server" / "longtail" / "server"
# What the build, the tests and the demo leave, which is not part of the tree.
MADE = {"var", "build", "dist", "__pycache__"}


def test_it_is_short_and_begins_with_the_first_answer() -> None:
    assert len(LINES) <= 200
    screen = LINES[:50]
    assert "make serve" in screen
    assert any(line.startswith(".venv/bin/longtail recommend") for line in screen)


def test_its_map_has_every_folder_once() -> None:
    rows = [match[1] for line in LINES if (match := re.match(r"\| `([\w./]+)/` \|", line))]
    top = {
        folder.name
        for folder in ROOT.iterdir()
        if folder.is_dir() and folder.name not in MADE and not folder.name.startswith(".")
        if not folder.name.endswith(".egg-info")
    }
    ours = {folder.name for folder in SERVER.iterdir() if folder.is_dir()} - MADE
    assert sorted(rows) == sorted([*top, *ours])
