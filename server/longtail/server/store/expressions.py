"""What SQLite and PostgreSQL call by different names."""

from typing import Any

from sqlalchemy import ColumnElement, String, case
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


def greater(one: ColumnElement[Any], other: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the greater of two values that are not null."""
    return case((one >= other, one), else_=other)


class elements_of(FunctionElement[str]):  # noqa: N801  (a function of SQL)
    """The texts in a JSON array: a table of one column, `value`."""

    name = "elements_of"
    type = String()
    inherit_cache = True


@compiles(elements_of, "sqlite")
def _in_sqlite(element: elements_of, compiler: SQLCompiler, **how: object) -> str:
    return f"json_each({compiler.process(element.clauses, **how)})"


@compiles(elements_of, "postgresql")
def _in_postgresql(element: elements_of, compiler: SQLCompiler, **how: object) -> str:
    return f"json_array_elements_text(CAST({compiler.process(element.clauses, **how)} AS JSON))"
