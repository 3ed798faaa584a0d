"""Statements of the hot path, compiled once: a bar writes and reads the same few rows over and over.

SQLAlchemy finds a statement's SQL, binds and result columns anew at every execution, which takes
longer than SQLite takes to carry it out. Here that is done at the opening of the journal. On
SQLite the driver's own connection then runs the text, in the transaction that SQLAlchemy has
begun; on PostgreSQL SQLAlchemy still runs it, because it alone tells a lost connection from others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.compiler import SQLCompiler

Row = Mapping[str, Any]
Parameters = tuple[Any, ...] | dict[str, Any]


class Prepared:
    """One statement in the words of one kind of database.

    Parameters
    ----------
    statement : ClauseElement
        Values that change from run to run are its bind parameters.
    dialect : Dialect
    columns : sequence of str, optional
        The columns an insert or update gives values for; all where left out.
    """

    def __init__(self, statement: Any, dialect: Dialect, columns: Sequence[str] | None = None) -> None:
        compiled = statement.compile(dialect=dialect, column_keys=None if columns is None else list(columns))
        assert isinstance(compiled, SQLCompiler), "tables are made elsewhere"
        self._sql = str(compiled)
        # In order of the question marks; None where the database takes names.
        self._order = compiled.positiontup
        self._names = tuple(compiled.params)
        # What the statement itself fixes, such as the 1 of `id = 1`.
        self._fixed = {name: value for name, value in compiled.params.items() if value is not None}
        self._direct = dialect.name == "sqlite"

    def run(self, connection: Connection, values: Row) -> int:
        """Carry it out once, in the transaction under way, and return how many rows it touched."""
        if self._direct:
            return int(driver_of(connection).execute(self._sql, self._bound(values)).rowcount)
        return int(connection.exec_driver_sql(self._sql, self._bound(values)).rowcount)

    def run_each(self, connection: Connection, rows: Iterable[Row]) -> None:
        """Carry it out for each row, in the order given; none leaves the database alone."""
        bound = [self._bound(row) for row in rows]
        if not bound:
            return
        if self._direct:
            driver_of(connection).executemany(self._sql, bound)
        else:
            connection.exec_driver_sql(self._sql, bound)

    def rows(self, connection: Connection, values: Row) -> list[dict[str, Any]]:
        """Return the rows that a query finds, by column."""
        if self._direct:
            cursor = driver_of(connection).execute(self._sql, self._bound(values))
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        return [dict(row) for row in connection.exec_driver_sql(self._sql, self._bound(values)).mappings()]

    def _bound(self, values: Row) -> Parameters:
        if self._fixed:
            values = {**self._fixed, **values}
        if len(values) != len(self._names):
            # One too few would be missed below; one too many would be lost without a word.
            raise KeyError(f"{self._sql} takes {', '.join(self._names)}; given were {', '.join(values)}")
        if self._order is not None:
            return tuple([values[name] for name in self._order])
        return {name: values[name] for name in self._names}


def driver_of(connection: Connection) -> Any:
    """Return sqlite3's own connection under SQLAlchemy's: the transaction is its, whoever speaks."""
    return connection.connection.driver_connection
