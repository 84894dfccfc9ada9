"""What the suite found, as a table: a row for each property, a column for each combination."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pytest

from tests.conformance.combinations import ALL

HOLDS, FAILS, NOT_ASKED = "yes", "NO", "–"
# What a test says of itself, beside its outcome.
COLUMN, FIGURE = "combination", "figure"


@dataclass
class Matrix:
    """The cells found, by row and then by column; rows in the order of the tests."""

    rows: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, reports: Iterable[pytest.TestReport]) -> "Matrix":
        """Read the reports of tests; those that name no combination say nothing here."""
        matrix = cls()
        for report in sorted(reports, key=lambda report: report.location[:2]):
            said = list(report.user_properties)
            columns = [str(value) for name, value in said if name == COLUMN]
            if not columns:
                continue
            (column,) = columns
            name = report.nodeid.partition("[")[0].rpartition("::")[2]
            cells = matrix.rows.setdefault(name.removeprefix("test_").replace("_", " "), {})
            if report.failed:
                cells[column] = FAILS
            elif report.passed:
                cells.setdefault(column, HOLDS)
            for name, value in said:
                if name == FIGURE:
                    what, _, figure = str(value).partition(": ")
                    matrix.rows.setdefault(what, {})[column] = figure
        return matrix

    @property
    def lines(self) -> list[list[str]]:
        """The table, its heading first; columns without a cell are left out."""
        seen = {column for cells in self.rows.values() for column in cells}
        columns = [each for each in ALL if each.name in seen]
        return [
            ["", *(each.title for each in columns)],
            *(
                [row, *(cells.get(each.name, NOT_ASKED) for each in columns)]
                for row, cells in self.rows.items()
            ),
        ]

    def text(self) -> list[str]:
        """Return its lines for a terminal."""
        return [_padded(line, self._widths()).rstrip() for line in self.lines]

    def markdown(self) -> str:
        """Return it as a table of Markdown."""
        heading, *rest = self.lines
        lines = [heading, ["---"] * len(heading), *rest]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)

    def _widths(self) -> list[int]:
        return [max(map(len, cells)) for cells in zip(*self.lines, strict=True)]


def _padded(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
