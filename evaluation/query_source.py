"""Queries in words and what is relevant to each, of a folder.

`queries.csv` (query_id, and the words as text or query) with `relevance.csv` (query_id, item_id;
grade, above 0, 1 where there is none), or rows that each have a query and an item
(`recommendation_data.csv`), such as people's tags: there the grade is how many say so. Queries that
were made up for items (`pseudo_queries.csv`, rows of the same kind) are kept apart from those that
people asked.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluation.dataset import DatasetError, Floats, Ints, Reason, holds, table
from evaluation.fields import number
from evaluation.metrics import Truth

PAIRS, QUERIES, RELEVANCE = "recommendation_data", "queries", "relevance"
PSEUDO = "pseudo_queries"


@dataclass(frozen=True)
class Queries:
    """Q queries and r statements that an item is relevant to one, at most one for each pair.

    `queries` (r,): positions in `ids`. `items` (r,): positions in the catalogue. `grades` (r,).
    `dropped`: rows left out, by reason.
    """

    ids: list[str]
    texts: list[str]
    queries: Ints
    items: Ints
    grades: Floats
    dropped: Counter[Reason]

    def truth(self, chosen: Ints) -> Truth:
        """Return what is relevant to the `chosen` queries (c,), in their order."""
        order = np.argsort(self.queries, kind="stable")
        starts = np.searchsorted(self.queries[order], np.arange(len(self.ids) + 1))
        rows = [order[starts[at] : starts[at + 1]] for at in chosen.tolist()]
        offsets = np.concatenate(([0], np.cumsum([len(each) for each in rows])))
        said = np.concatenate(rows)
        return Truth(offsets, self.items[said], self.grades[said])


def holds_queries(folder: Path) -> bool:
    """Return whether a folder says what is relevant to queries."""
    return holds(folder, PAIRS) or (holds(folder, QUERIES) and holds(folder, RELEVANCE))


def read_queries(folder: Path, item_ids: list[str]) -> Queries:
    """Read the queries of a folder; of one pair the highest grade stays, what is not above 0 goes.

    Raises DatasetError when a file or column is missing or nothing is left.
    """
    number_of = {item_id: at for at, item_id in enumerate(item_ids)}
    unused = Counter[Reason]()
    if holds(folder, QUERIES):
        texts = _texts(folder, unused)
        grades = _graded(folder, texts, number_of, unused)
    else:
        texts, grades = _of_pairs(folder, PAIRS, number_of, unused)
    return _joined(folder, texts, grades, unused)


def read_pseudo_queries(folder: Path, item_ids: list[str]) -> Queries:
    """Read the queries that were made up for items of a folder which holds PSEUDO.

    Raises DatasetError as `read_queries` does.
    """
    number_of = {item_id: at for at, item_id in enumerate(item_ids)}
    unused = Counter[Reason]()
    return _joined(folder, *_of_pairs(folder, PSEUDO, number_of, unused), unused)


def _joined(
    folder: Path,
    texts: dict[str, str],
    grades: dict[tuple[str, int], float],
    unused: Counter[Reason],
) -> Queries:
    if not grades:
        raise DatasetError(f"{folder}: no row says what is relevant to a query")
    ids = list(dict.fromkeys(query for query, _ in grades))
    place = {query: at for at, query in enumerate(ids)}
    return Queries(
        ids,
        [texts[query] for query in ids],
        np.array([place[query] for query, _ in grades], np.int64),
        np.array([item for _, item in grades], np.int64),
        np.array(list(grades.values()), np.float64),
        unused,
    )


def _texts(folder: Path, unused: Counter[Reason]) -> dict[str, str]:
    texts: dict[str, str] = {}
    with table(folder, QUERIES, ("query_id",), unused) as (columns, rows):
        words = next((name for name in ("text", "query") if name in columns), None)
        if words is None:
            raise DatasetError(f"{folder}: {QUERIES}.csv has no column text and no column query")
        for row in rows:
            if row["query_id"].strip() and row[words].strip():
                texts.setdefault(row["query_id"].strip(), row[words].strip())
            else:
                unused[Reason.MISSING_ID] += 1
    return texts


def _graded(
    folder: Path, texts: dict[str, str], number_of: dict[str, int], unused: Counter[Reason]
) -> dict[tuple[str, int], float]:
    grades: dict[tuple[str, int], float] = {}
    with table(folder, RELEVANCE, ("query_id", "item_id"), unused) as (columns, rows):
        for row in rows:
            query, item = row["query_id"].strip(), number_of.get(row["item_id"].strip())
            grade = number(row["grade"]) if "grade" in columns else 1.0
            if query not in texts:
                unused[Reason.MISSING_ID] += 1
            elif item is None:
                unused[Reason.UNKNOWN_ITEM] += 1
            elif grade is None:
                unused[Reason.RATING] += 1
            elif grade > 0:
                grades[query, item] = max(grade, grades.get((query, item), 0.0))
    return grades


def _of_pairs(
    folder: Path, name: str, number_of: dict[str, int], unused: Counter[Reason]
) -> tuple[dict[str, str], dict[tuple[str, int], float]]:
    texts: dict[str, str] = {}
    said: dict[tuple[str, int], set[str]] = {}
    with table(folder, name, ("query", "item_id"), unused) as (columns, rows):
        for at, row in enumerate(rows):
            item, text = number_of.get(row["item_id"].strip()), row["query"].strip()
            if not text:
                unused[Reason.MISSING_ID] += 1
            elif item is None:
                unused[Reason.UNKNOWN_ITEM] += 1
            else:
                query = text.casefold()
                texts.setdefault(query, text)
                who = row["user_id"] if "user_id" in columns else str(at)
                said.setdefault((query, item), set()).add(who)
    return texts, {pair: float(len(people)) for pair, people in said.items()}
