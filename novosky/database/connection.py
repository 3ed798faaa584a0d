"""A connection to a database: transactions, the lock, and what goes wrong with them.

SQLite is a file on this machine: a write succeeds or has left nothing. PostgreSQL may go away
at any moment, which leaves one question open: was the commit it went away in still carried
out? The session that writes holds an advisory lock for as long as it lives, so that a new one
gets the lock only when the old one has ended for good. From then on the answer stands, and it is
looked up before anything is written again. Reading has a session of its own and waits for nobody.
"""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Table, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential

from novosky.database.one_file import OneFile
from novosky.database.place import shown, without_password
from novosky.database.pooler import WHAT_TO_USE, NoSession, prove_session
from novosky.database.prepared import Prepared, driver_of
from novosky.database.use import Use
from novosky.errors import LockedError, StorageError

LOCK_NOT_AVAILABLE = "55P03"
FIRST_LOCK_SECONDS = 5.0
"""A holder that was killed a moment ago has left a session that the server is still ending."""
_KEEPALIVE = {"keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3}
"""Either side notices within half a minute that the other has vanished; a `patience` is longer."""
_ARGUMENTS = {"connect_timeout": 10, "application_name": "novosky", **_KEEPALIVE}
_MENDS = {
    "SQLITE_FULL": "free space on the disk and start again; what was being written left no trace",
    "SQLITE_READONLY": "mend the permissions of the file and of its folder",
    "SQLITE_CANTOPEN": "check the path and the permissions of the folder",
    "SQLITE_CORRUPT": "put back a copy of the file, or begin a new {noun}",
    "SQLITE_NOTADB": "name another file, or put back a copy",
    "SQLITE_BUSY": "stop the other program that is writing to it",
    "SQLITE_IOERR": "check the disk",
    "53100": "free space on the server's disk; what was being written left no trace",
    "25006": "take the primary server: this one is read-only",
    "42501": "give the user the right to create and write tables",
    "42P01": "its tables were removed; put a copy back, or {start_anew}",
}
"""What to do about it in the words of a `Use`, by the beginning of SQLite's error name or by PostgreSQL's code."""

_PROCESS = "process"
_LOCK_HELD = text(
    "SELECT pg_backend_pid(), EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted "
    "AND pid = pg_backend_pid() AND classid = CAST(:lock_class AS oid) AND objsubid = 2)"
)
_UNREACHABLE = "unreachable"
_AWAY = (_UNREACHABLE, "08", "57P", "53300")
"""Beginnings of PostgreSQL's codes for a server that is away, going, coming or full."""

T = TypeVar("T")


class Database:
    """An engine that speaks in this house's errors.

    Parameters
    ----------
    url : URL or str
    use : Use
        What it holds for whom: the words of its messages, and its lock.
    durable : bool
        Sync every commit to the disk.
    read_only : bool
        Only look, beside a holder at work: nothing is created or locked.
    patience : float
        Seconds to wait for a PostgreSQL server that has gone away.

    Attributes
    ----------
    place : str
        The database's name for messages, without its password.
    read_only : bool
    file : Path or None
        Of a SQLite database.
    """

    def __init__(self, url: URL | str, use: Use, *, durable: bool, read_only: bool, patience: float) -> None:
        self.use = use
        self._url = make_url(url)
        self.place = shown(self._url)
        self.read_only = read_only
        self._patience = patience
        self.file = None if self._url.get_backend_name() != "sqlite" else Path(str(self._url.database))
        self._connected_once = self._held_once = False
        self._kept = threading.local()
        self._all_kept: list[weakref.ref[Connection]] = []
        self._served = self._url.get_backend_name() == "postgresql"
        try:
            self._reading = self._served_engine(None) if self._served else self._file_engine(durable)
        except ModuleNotFoundError as error:
            raise StorageError(
                f"{use.noun} {self.place} needs the package {error.name}; pip install 'psycopg[binary]'"
            ) from error
        if self._served and not read_only:
            self._writing = self._served_engine(durable)
        else:
            # SQLite: a transaction that will write asks for the right to do so at its begin, and waits there.
            self._writing = self._reading.execution_options(begin="BEGIN IMMEDIATE")

    def _file_engine(self, durable: bool) -> Engine:
        if self.read_only and not Path(str(self._url.database)).exists():
            # SQLite would create it.
            raise StorageError(
                f"there is no {self.use.noun} at {self.place}; start the {self.use.holder} once, or name its file"
            )
        engine = create_engine(self._url)
        self._file = OneFile(Path(str(self._url.database)), self.use)

        def connected(connection: Any, _record: Any) -> None:
            # The driver's own transactions leave out table definitions; `begun` begins ours.
            connection.isolation_level = None
            connection.execute("PRAGMA busy_timeout=5000")
            self._file.opened()
            if self.read_only:
                connection.execute("PRAGMA query_only=ON")
                return
            connection.execute("PRAGMA journal_mode=WAL")
            # NORMAL syncs a WAL at checkpoints only: a power cut may take the newest commits, as a replay can bear.
            connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")

        def begun(connection: Connection) -> None:
            if driver_of(connection).in_transaction:
                # Begun by `_file_transaction`: SQLAlchemy only learns of it now.
                return
            self._file.check()
            connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))

        event.listen(engine, "connect", connected)
        event.listen(engine, "begin", begun)
        return engine

    def _served_engine(self, durable: bool | None) -> Engine:
        """Return an engine of a single session: None only reads, a writing one holds the lock while it lives.

        A reading session leaves no trace: behind a pooler the next client inherits what it set.
        """
        more: dict[str, Any] = {}
        if durable is None:
            # Read only transaction by transaction, and no statement prepared on a process that others share.
            more = {"prepare_threshold": None}
        engine: Engine = create_engine(
            self._url, connect_args={**_ARGUMENTS, **more}, pool_size=1, max_overflow=0, pool_pre_ping=True
        )
        if durable is None:
            engine = engine.execution_options(postgresql_readonly=True)

        def connected(connection: Any, record: Any) -> None:
            if durable is not None:
                process = prove_session(connection, self._open_bare, self.place, self.use)
                with connection.cursor() as cursor:
                    self._lock(cursor)
                    for name, value in _KEEPALIVE.items():
                        cursor.execute(f"SET tcp_{name} = {value}")
                    cursor.execute(f"SET synchronous_commit = {'on' if durable else 'off'}")
                connection.commit()
                record.info[_PROCESS] = process
            self._connected_once = True

        event.listen(engine, "connect", connected)
        return engine

    def _open_bare(self) -> Any:
        """Return a connection of the driver that nothing was asked of yet."""
        dialect = self._writing.dialect
        given, named = dialect.create_connect_args(self._url)
        return dialect.loaded_dbapi.connect(*given, **{**named, **_ARGUMENTS})

    def _lock(self, cursor: Any) -> None:
        seconds = self._patience if self._held_once else min(self._patience, FIRST_LOCK_SECONDS)
        cursor.execute(f"SET LOCAL lock_timeout = {int(1000 * seconds)}")
        try:
            cursor.execute(f"SELECT pg_advisory_lock({self.use.lock_class}, hashtext(coalesce(current_schema(), '')))")
        except self._reading.dialect.loaded_dbapi.Error as error:
            if error.sqlstate != LOCK_NOT_AVAILABLE:
                raise
            raise LockedError(
                f"another {self.use.holder} is using the {self.use.noun} {self.place}; stop it first "
                f"(a {self.use.holder} of another account needs a database of its own)"
            ) from error
        self._held_once = True

    def _check_lock(self, connection: Connection) -> None:
        """Make sure that the session that writes is still the one that holds the lock."""
        process, held = connection.execute(_LOCK_HELD, {"lock_class": self.use.lock_class}).one()
        if process != connection.info.get(_PROCESS) or not held:
            raise NoSession(
                f"{self.use.noun} {self.place}: the session has lost its lock, so a second {self.use.holder} could "
                f"write beside this one; nothing more is written or sent; {WHAT_TO_USE}"
            )

    def claim(self) -> None:
        """Take the lock of a PostgreSQL database, unless it is only read.

        Raises
        ------
        LockedError
            Another holder has it.
        StorageError
            The server does not answer.
        """
        if self._served and not self.read_only:
            with self._named_errors(), self._patiently(self._writing.connect):
                pass

    def insert_new(self, table: Table) -> Any:
        """Return an insert that leaves a row alone whose key is there already."""
        statement = postgresql.insert(table) if self._served else sqlite.insert(table)
        return statement.on_conflict_do_nothing()

    def insert_or_replace(self, table: Table) -> Any:
        """Return an insert that replaces a row whose primary key is there already."""
        statement = postgresql.insert(table) if self._served else sqlite.insert(table)
        values = {column.name: statement.excluded[column.name] for column in table.columns if not column.primary_key}
        return statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=values)

    def prepare(self, statement: Any, columns: Sequence[str] | None = None) -> Prepared:
        """Return a statement compiled for this database, for what is done at every bar.

        Parameters
        ----------
        statement : selectable, insert or update
        columns : sequence of str, optional
            The columns an insert or update gives values for; all where left out.
        """
        return Prepared(statement, self._reading.dialect, columns)

    def find(self, query: Prepared, **values: Any) -> list[dict[str, Any]]:
        """Return a prepared query's rows; see `read`."""

        def ask() -> list[dict[str, Any]]:
            if self._served:
                with self._reading.connect() as connection:
                    return query.rows(connection, values)
            # One query needs no transaction, whose begin would have looked after the file.
            self._file.check()
            return query.rows(self._own_connection(), values)

        with self._named_errors():
            return self._patiently(ask)

    def read(self, query: Any) -> list[Mapping[str, Any]]:
        """Return a query's rows; on PostgreSQL a lost connection is replaced and asked again.

        Raises
        ------
        StorageError
        """

        def ask() -> list[Mapping[str, Any]]:
            with self._reading.connect() as connection:
                return [dict(row) for row in connection.execute(query).mappings()]

        with self._named_errors():
            return self._patiently(ask)

    def write(self, work: Callable[[Connection], Any], arrived: Any = None) -> None:
        """Do some writing in one transaction.

        When the connection is lost on the way the outcome is unknown. A new connection has the
        lock, so the old one is over: if the query `arrived` finds something the work was done,
        and otherwise it is done now, once more and no more.

        Parameters
        ----------
        work : callable
            Takes the connection. Without `arrived` doing it twice must be the same as once.
        arrived : selectable, optional
            Has a row if the work is in the database.

        Raises
        ------
        LockedError
            Another holder has taken over while the connection was lost.
        StorageError
            Nothing was written; or, when the server went away twice, what was is for the next
            start to find out.
        """
        try:
            with self.transaction() as connection:
                work(connection)
        except StorageError as error:
            lost = isinstance(error.__cause__, DBAPIError) and error.__cause__.connection_invalidated
            if not lost:
                raise
            with self.transaction() as connection:
                if arrived is None or connection.execute(arrived).first() is None:
                    work(connection)

    @contextmanager
    def looking(self) -> Iterator[Connection]:
        """Yield a connection to read from."""
        with self._named_errors(), self._patiently(self._reading.connect) as connection:
            yield connection

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Yield a connection in a writing transaction, committed at the end and rolled back by an error."""
        if not self._served:
            with self._named_errors(), self._file_transaction() as connection:
                yield connection
            return
        with self._named_errors(), self._patiently(self._writing.connect) as connection, connection.begin():
            if not self.read_only:
                self._check_lock(connection)
            yield connection

    def _own_connection(self) -> Connection:
        """Return this thread's connection to the file, opened at its first use and kept.

        To take one out of the pool, to begin and to give it back costs SQLAlchemy several times
        what SQLite needs for a bar. A thread that ends gives its connection back to the pool.
        """
        connection: Connection | None = getattr(self._kept, "connection", None)
        if connection is None or connection.closed:
            self._kept.connection = connection = self._writing.connect()
            self._all_kept.append(weakref.ref(connection))
        return connection

    @contextmanager
    def _file_transaction(self) -> Iterator[Connection]:
        connection = self._own_connection()
        driver = driver_of(connection)
        self._file.check()
        driver.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            if connection.in_transaction():
                # A statement went through SQLAlchemy, which then wants to end what it knows of.
                connection.commit()
            else:
                driver.execute("COMMIT")
        except BaseException:
            # SQLAlchemy's own rollback forgets its part; the driver's ends what is left.
            connection.rollback()
            if connection.invalidated:
                # An interrupted statement costs SQLAlchemy its connection; the next writing opens another.
                connection.close()
            elif driver.in_transaction:
                driver.execute("ROLLBACK")
            raise

    def _patiently(self, action: Callable[[], T]) -> T:
        """Repeat an action that changes nothing while the server is away."""

        def is_away(error: BaseException) -> bool:
            if not isinstance(error, DBAPIError) or not self._connected_once:
                return False
            return error.connection_invalidated or _code(error.orig).startswith(_AWAY)

        if not self._served:
            return action()
        waits = wait_exponential(multiplier=0.1, max=2.0)
        return Retrying(
            retry=retry_if_exception(is_away), stop=stop_after_delay(self._patience), wait=waits, reraise=True
        )(action)

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            # sqlite3's own errors come of prepared statements, which SQLAlchemy does not wrap.
            raise self.error(error) from error

    def error(self, error: Exception) -> StorageError:
        """Return a database error with the place and the mend, and without the password."""
        origin = getattr(error, "orig", None) or error
        cause = without_password(str(origin), self._url).strip().rstrip(".")
        code = _code(origin)
        usual = "check the path, the permissions and the disk"
        if self._served:
            usual = "check that the server runs and that NOVOSKY_DATABASE_URL is right"
            if "pooling mode" in cause:
                usual = WHAT_TO_USE
        mend = next((mend for name, mend in _MENDS.items() if code.startswith(name)), usual)
        mend = mend.format(noun=self.use.noun, start_anew=self.use.start_anew)
        return StorageError(f"{self.use.noun} {self.place} cannot be used: {cause}; {mend}")

    def close(self) -> None:
        """Release the database, and with it the lock."""
        for kept in self._all_kept:
            connection = kept()
            if connection is not None:
                connection.close()
        self._writing.dispose()
        self._reading.dispose()


def _code(origin: BaseException | None) -> str:
    """Return SQLite's error name or PostgreSQL's code; a server that never answered has given none."""
    name = getattr(origin, "sqlite_errorname", None)
    return str(name or getattr(origin, "sqlstate", None) or _UNREACHABLE)
