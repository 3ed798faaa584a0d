"""The simulated broker's own memory: it must survive the bot's death as a real server would."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path

from novosky.errors import StorageError
from trading.broker import Deal
from trading.engine.records import Account, from_bytes, to_bytes

_SCHEMA = """
CREATE TABLE IF NOT EXISTS state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    identity TEXT NOT NULL,
    anchor INTEGER NOT NULL,
    bar INTEGER NOT NULL,
    opened INTEGER NOT NULL,
    ticket INTEGER NOT NULL,
    position INTEGER NOT NULL,
    comment TEXT NOT NULL,
    magic INTEGER NOT NULL,
    account BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS deals (
    ticket INTEGER PRIMARY KEY, position INTEGER, time INTEGER, entry INTEGER, reason INTEGER, volume REAL,
    price REAL, commission REAL, swap REAL, profit REAL, magic INTEGER, comment TEXT
);
"""


@dataclass
class PaperState:
    """Everything the simulated broker remembers besides its deals.

    Attributes
    ----------
    identity : str
        Which market and which account terms this state belongs to.
    anchor : int
        UTC epoch seconds of the market's first bar.
    bar : int
        Index of the newest bar that has begun.
    opened : bool
        True between that bar's open and its close.
    ticket : int
        The last ticket given out.
    position, magic, comment
        Of the open position, 0 and "" when flat.
    account : Account
        The engine's record.
    """

    identity: str
    anchor: int
    bar: int
    opened: bool
    ticket: int
    position: int
    magic: int
    comment: str
    account: Account

    def copy(self) -> PaperState:
        """Return a state that shares nothing with this one."""
        return replace(self, account=from_bytes(Account, to_bytes(self.account)))


class PaperStore:
    """A SQLite file holding one `PaperState` and its deals; every change is one transaction."""

    def __init__(self, path: Path, *, durable: bool) -> None:
        """Open or create the file.

        Parameters
        ----------
        path : Path
        durable : bool
            True syncs every commit to the disk; False survives the death of the process
            but not of the machine, which a replay can simply repeat.

        Raises
        ------
        StorageError
            The file cannot be opened or written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self._connection.executescript(_SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise StorageError(
                f"paper account {path} cannot be opened: {error}; check the path and the disk"
            ) from error
        self._path = path

    def load(self) -> PaperState | None:
        """Return the stored state, or None for a new account."""
        try:
            row = self._connection.execute(
                "SELECT identity, anchor, bar, opened, ticket, position, magic, comment, account FROM state"
            ).fetchone()
        except sqlite3.Error as error:
            raise self._unreadable(error) from error
        if row is None:
            return None
        try:
            account = from_bytes(Account, row[8])
        except ValueError as error:
            raise StorageError(
                f"paper account {self._path} was written by another version ({error}); start with --fresh"
            ) from error
        return PaperState(row[0], row[1], row[2], bool(row[3]), row[4], row[5], row[6], row[7], account)

    def save(self, state: PaperState, deals: list[Deal]) -> None:
        """Store the state and append its new deals, both or neither.

        Raises
        ------
        StorageError
            Nothing was stored.
        """
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute(
                "INSERT OR REPLACE INTO state VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    state.identity,
                    state.anchor,
                    state.bar,
                    int(state.opened),
                    state.ticket,
                    state.position,
                    state.comment,
                    state.magic,
                    to_bytes(state.account),
                ),
            )
            for deal in deals:
                self._connection.execute(
                    "INSERT INTO deals VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        deal.ticket,
                        deal.position,
                        deal.time,
                        deal.entry,
                        deal.reason,
                        deal.volume,
                        deal.price,
                        deal.commission,
                        deal.swap,
                        deal.profit,
                        deal.magic,
                        deal.comment,
                    ),
                )
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise StorageError(
                f"paper account {self._path} cannot be written: {error}; free the disk and start again"
            ) from error

    def deals(self, after_ticket: int) -> list[Deal]:
        """Return the deals with a higher ticket, oldest first."""
        try:
            rows = self._connection.execute(
                "SELECT ticket, position, time, entry, reason, volume, price, commission, swap, profit, magic, comment "
                "FROM deals WHERE ticket > ? ORDER BY ticket",
                (after_ticket,),
            ).fetchall()
        except sqlite3.Error as error:
            raise self._unreadable(error) from error
        return [Deal(*row) for row in rows]

    def _unreadable(self, error: sqlite3.Error) -> StorageError:
        return StorageError(f"paper account {self._path} cannot be read: {error}; start with --fresh")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
