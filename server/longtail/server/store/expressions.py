"""What SQLite and PostgreSQL call by different names."""

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Select, String, case, literal, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


def greater(one: ColumnElement[Any], other: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the greater of two values that are not null."""
    return case((one >= other, one), else_=other)


class elements_of(FunctionElement[str]):  # noqa: N801  (a function of SQL)
    """The texts in a JSON array: a table of one column, `value`.

    One parameter, however many there are: a statement of thousands takes long to be understood.
    """

    name = "elements_of"
    type = String()
    inherit_cache = True


class pairs_of(FunctionElement[str]):  # noqa: N801  (a function of SQL)
    """The pairs of texts in a JSON array: a table of two columns, `first` and `second`."""

    name = "pairs_of"
    type = String()
    inherit_cache = True


def among(texts: Iterable[str]) -> Select[tuple[str]]:
    """Return what `column.in_` takes for any number of texts, as one parameter."""
    listed = elements_of(literal(json.dumps(list(texts)), String)).table_valued("value")
    return select(listed.c.value)


@compiles(elements_of, "sqlite")
def _elements_in_sqlite(element: elements_of, compiler: SQLCompiler, **how: object) -> str:
    return f"json_each({compiler.process(element.clauses, **how)})"


@compiles(elements_of, "postgresql")
def _elements_in_postgresql(element: elements_of, compiler: SQLCompiler, **how: object) -> str:
    return f"json_array_elements_text(CAST({compiler.process(element.clauses, **how)} AS JSON))"


@compiles(pairs_of, "sqlite")
def _pairs_in_sqlite(element: pairs_of, compiler: SQLCompiler, **how: object) -> str:
    return _PAIRS_IN_SQLITE.format(compiler.process(element.clauses, **how))


@compiles(pairs_of, "postgresql")
def _pairs_in_postgresql(element: pairs_of, compiler: SQLCompiler, **how: object) -> str:
    return _PAIRS_IN_POSTGRESQL.format(compiler.process(element.clauses, **how))


_PAIRS_IN_SQLITE = (
    "(SELECT json_extract(value, '$[0]') AS first, json_extract(value, '$[1]') AS second"
    " FROM json_each({}))"
)
_PAIRS_IN_POSTGRESQL = (
    "(SELECT value->>0 AS first, value->>1 AS second FROM json_array_elements(CAST({} AS JSON)))"
)
