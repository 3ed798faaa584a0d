"""Storage of the simulated trade server: its account outlives the process that trades on it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from novosky.errors import StorageError
from trading.brokers.mt5_package.sequences import StructSequence
from trading.brokers.mt5_package.structs import TradeDeal, TradeOrder

_SCHEMA = """
CREATE TABLE IF NOT EXISTS state (id INTEGER PRIMARY KEY CHECK (id = 1), content TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS deals (place INTEGER PRIMARY KEY, content TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS orders (place INTEGER PRIMARY KEY, content TEXT NOT NULL);
"""
_STATE_COLUMNS = ["id", "content"]


class TerminalStore(Protocol):
    """Where a trade server keeps its state; every `save` is wholly done or not at all."""

    def load(self) -> str | None:
        """Return the newest state, None for a new account."""

    def deals(self) -> list[TradeDeal]:
        """Return every deal, oldest first."""

    def orders(self) -> list[TradeOrder]:
        """Return every finished order, oldest first."""

    def save(self, content: str, deals: Sequence[TradeDeal], orders: Sequence[TradeOrder]) -> None:
        """Replace the state and append to the history."""

    def close(self) -> None:
        """Release what the store holds."""


class SqliteStore:
    """A SQLite file; every change is one transaction.

    Parameters
    ----------
    path : Path
    durable : bool
        True syncs every commit to the disk; False survives the death of the process but not
        of the machine, which a replay can simply repeat.

    Raises
    ------
    StorageError
        The file cannot be opened or written.
    """

    def __init__(self, path: Path, *, durable: bool) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # The terminal is called from its own thread, the server steered from another, never both at once.
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._refuse_other_layouts()
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self._connection.executescript(_SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise StorageError(
                f"simulated account {path} cannot be opened: {error}; check the path and the disk"
            ) from error

    def _refuse_other_layouts(self) -> None:
        """Leave a file of an earlier version as it is, so that its own program can still read it."""
        columns = [row[1] for row in self._connection.execute("PRAGMA table_info(state)")]
        if columns and columns != _STATE_COLUMNS:
            self._connection.close()
            raise StorageError(
                f"simulated account {self._path} was written by an earlier version, whose accounts cannot be "
                "continued; start with --fresh to discard it, or name another --journal"
            )

    def load(self) -> str | None:
        """Return the newest state, None for a new account.

        Raises
        ------
        StorageError
            The file cannot be read, or holds something else than a state.
        """
        rows = self._read("SELECT content FROM state")
        if rows and not isinstance(self._content(rows[0]), dict):
            raise self._damaged("its state is no object")
        return rows[0] if rows else None

    def deals(self) -> list[TradeDeal]:
        """Return every deal, oldest first."""
        return [TradeDeal(self._content(row)) for row in self._read("SELECT content FROM deals ORDER BY place")]

    def orders(self) -> list[TradeOrder]:
        """Return every finished order, oldest first."""
        return [TradeOrder(self._content(row)) for row in self._read("SELECT content FROM orders ORDER BY place")]

    def _content(self, text: str) -> Any:
        try:
            return json.loads(text)
        except (ValueError, TypeError, RecursionError) as error:
            raise self._damaged(f"{type(error).__name__}") from error

    def _damaged(self, reason: str) -> StorageError:
        return StorageError(f"simulated account {self._path} is damaged ({reason}); start with --fresh to discard it")

    def _read(self, query: str) -> list[str]:
        try:
            return [row[0] for row in self._connection.execute(query).fetchall()]
        except sqlite3.Error as error:
            raise StorageError(f"simulated account {self._path} cannot be read: {error}; start with --fresh") from error

    def save(self, content: str, deals: Sequence[TradeDeal], orders: Sequence[TradeOrder]) -> None:
        """Replace the state and append to the history.

        Raises
        ------
        StorageError
            Nothing was stored.
        """
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("INSERT OR REPLACE INTO state VALUES (1, ?)", (content,))
            self._append("deals", deals)
            self._append("orders", orders)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise StorageError(
                f"simulated account {self._path} cannot be written: {error}; free the disk and start again"
            ) from error

    def _append(self, table: str, rows: Sequence[StructSequence]) -> None:
        content = [(json.dumps(list(row)),) for row in rows]
        self._connection.executemany(f"INSERT INTO {table} (content) VALUES (?)", content)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


class MemoryStore:
    """Keeps the account for as long as the object lives, for tests and throw-away accounts."""

    def __init__(self) -> None:
        self._content: str | None = None
        self._deals: list[TradeDeal] = []
        self._orders: list[TradeOrder] = []

    def load(self) -> str | None:
        """Return the newest state, None for a new account."""
        return self._content

    def deals(self) -> list[TradeDeal]:
        """Return every deal, oldest first."""
        return list(self._deals)

    def orders(self) -> list[TradeOrder]:
        """Return every finished order, oldest first."""
        return list(self._orders)

    def save(self, content: str, deals: Sequence[TradeDeal], orders: Sequence[TradeOrder]) -> None:
        """Replace the state and append to the history."""
        self._content = content
        self._deals.extend(deals)
        self._orders.extend(orders)

    def close(self) -> None:
        """Nothing is held."""
