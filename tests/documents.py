"""README and the pages of docs: what they show, and which of it is run.

A block is run unless the line before it says `<!-- not run: why -->`. A block of a file's content
has the file's name behind its language.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.processes import ROOT

README = ROOT / "README.md"
PAGES = sorted((ROOT / "docs").glob("*.md"))
DOCUMENTS = [README, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *PAGES]

FENCE = "```"
NOT_RUN = re.compile(r"<!-- not run: (.+) -->")


@dataclass(frozen=True)
class Block:
    """What stands between two fences of a document; `not_run` is why, empty for what is run."""

    document: Path
    language: str
    name: str
    text: str
    not_run: str

    @property
    def commands(self) -> list[str]:
        """The commands of a shell block, one a line, without what is said of them."""
        lines = (line.split("  #")[0].strip() for line in self.text.splitlines())
        return [line for line in lines if line]


def blocks(document: Path) -> Iterator[Block]:
    """Yield the blocks of a document in their order."""
    lines = iter(document.read_text(encoding="utf-8").splitlines())
    before = ""
    for line in lines:
        if line.startswith(FENCE):
            language, _, name = line.removeprefix(FENCE).partition(" ")
            content: list[str] = []
            for inner in lines:
                if inner.startswith(FENCE):
                    break
                content.append(inner)
            reason = NOT_RUN.fullmatch(before)
            text = "".join(f"{each}\n" for each in content)
            yield Block(document, language, name, text, reason[1] if reason else "")
        before = line


def all_blocks() -> list[Block]:
    """Return the blocks of all documents, README's first."""
    return [block for document in DOCUMENTS for block in blocks(document)]


def prose(document: Path) -> str:
    """Return what a document says, without its blocks, formulas and comments."""
    kept, inside = [], False
    for line in document.read_text(encoding="utf-8").splitlines():
        if line.startswith(FENCE):
            inside = not inside
        elif not inside and not line.startswith("    ") and not line.startswith("<!--"):
            kept.append(line)
    return "\n".join(kept)
