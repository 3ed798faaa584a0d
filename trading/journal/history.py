"""What the journal keeps beside the bars: events, snapshots, news, metrics, and switches.

Every writing here may be repeated: the same event, moment or name is kept once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, Table, bindparam, delete, select

from alerts.views import AccountSnapshot
from novosky.database.connection import Database
from novosky.errors import StorageError
from trading.journal.tables import (
    ACCOUNT_SNAPSHOTS,
    BOT_STATUS,
    FLAGS,
    MODEL_METRICS,
    MONEY_MOVES,
    NEWS_EVENTS,
    POSITION_EVENTS,
    columns_of,
    rows_of,
)
from trading.journal.values import BarNotes, Flag, ModelMetric, MoneyMove, NewsEvent, PositionEvent

UNNAMED = ""
"""Of no symbol are the rows of a new journal that nobody has named."""


class History:
    """Tables that are written as things happen, and what a bar adds to them in its own transaction.

    Parameters
    ----------
    database : Database
    symbol : str or None
        Whose rows are read and written; None takes the only symbol that the journal holds.
    """

    def __init__(self, database: Database, symbol: str | None) -> None:
        self._database, self._symbol = database, symbol
        self._rows: dict[str, Select[Any]] = {}
        # The first three are written with bars, so they are prepared; the others come once in a while.
        self._insert_event = database.prepare(database.insert_new(POSITION_EVENTS))
        self._insert_move = database.prepare(database.insert_new(MONEY_MOVES))
        self._put_metric = database.prepare(database.insert_or_replace(MODEL_METRICS))
        self._put_snapshot = database.insert_or_replace(ACCOUNT_SNAPSHOTS)
        self._put_news = database.insert_or_replace(NEWS_EVENTS)
        self._put_flag = database.insert_or_replace(FLAGS)
        table = MODEL_METRICS
        mine = select(*columns_of(table)).where(table.c.symbol == bindparam("of_symbol"))
        span = mine.where(table.c.time >= bindparam("start"), table.c.time < bindparam("end"))
        self._metrics_between = database.prepare(span.order_by(table.c.time, table.c.name))
        newest = mine.where(table.c.name == bindparam("figure")).order_by(table.c.time.desc()).limit(1)
        self._newest_metric = database.prepare(newest)

    @property
    def symbol(self) -> str:
        """Whose rows these are.

        Raises
        ------
        StorageError
            Nobody has said, and the journal is new or holds several.
        """
        if self._symbol is None:
            held = self.symbols()
            if len(held) != 1:
                found = f"holds {', '.join(held)}" if held else "is new"
                raise StorageError(f"journal {self._database.place} {found}, and nobody says whose rows are meant")
            self._symbol = held[0]
        return self._symbol

    @property
    def _named(self) -> str:
        """Whose rows a query is about; of a new journal that nobody has named, nobody's."""
        return UNNAMED if self._symbol is None and not self.symbols() else self.symbol

    def symbols(self) -> list[str]:
        """Return the symbols whose bots keep this journal, in order."""
        return [row["symbol"] for row in self._database.read(select(BOT_STATUS.c.symbol).order_by(BOT_STATUS.c.symbol))]

    def _read(self, table: Table, *conditions: Any) -> Select[Any]:
        """Return the query of this symbol's rows; of a new journal that nobody has named, of none."""
        rows = self._rows.get(table.name)
        if rows is None:
            if self._named == UNNAMED:
                return rows_of(table, UNNAMED).where(*conditions)
            # Kept, because putting a query together costs more than asking it.
            rows = self._rows[table.name] = rows_of(table, self.symbol)
        return rows.where(*conditions)

    def _own(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row as this symbol's."""
        return {**row, "symbol": self.symbol}

    def _note_within(self, connection: Connection, notes: BarNotes) -> None:
        """Write a bar's notes as part of its transaction."""
        self._insert_event.run_each(connection, [self._own(event.__dict__) for event in notes.events])
        self._put_metric.run_each(connection, [self._own(metric.__dict__) for metric in notes.metrics])
        self._move_within(connection, notes.moves)

    def _move_within(self, connection: Connection, moves: Sequence[MoneyMove]) -> None:
        """Write what was paid in and out as part of a transaction."""
        self._insert_move.run_each(connection, [move.__dict__ for move in moves])

    def money_moves(self, since: int = 0) -> Sequence[MoneyMove]:
        """Return what was paid in and out, and lent, from a moment on, in order of its tickets."""
        table = MONEY_MOVES
        query = select(table).where(table.c.time >= since).order_by(table.c.ticket)
        return [MoneyMove(**row) for row in self._database.read(query)]

    def record_position_event(self, ticket: int, time: int, kind: str, detail: str) -> None:
        """Record that something happened to a position.

        Parameters
        ----------
        ticket : int
            The position's.
        time : int
            UTC epoch seconds. With `ticket` and `kind` it names the event: the first is kept.
        kind : str
            See `trading.cycle.notes`.
        detail : str
            For a person to read.
        """
        row = self._own(PositionEvent(ticket, time, kind, detail).__dict__)
        self._database.write(lambda connection: self._insert_event.run(connection, row))

    def position_events(self, since: int = 0) -> Sequence[PositionEvent]:
        """Return the events from a moment on, oldest first."""
        table = POSITION_EVENTS
        query = self._read(table, table.c.time >= since).order_by(table.c.time, table.c.ticket, table.c.kind)
        return [PositionEvent(**row) for row in self._database.read(query)]

    def snapshot_account(self, time: int, balance: float, equity: float, margin: float, positions: int) -> None:
        """Record the account's money in USD and its number of open positions; one row per moment."""
        snapshot = AccountSnapshot(time, balance, equity, margin, positions)
        self._database.write(lambda connection: connection.execute(self._put_snapshot, snapshot.__dict__))

    def account_snapshots(self, since: int = 0) -> Sequence[AccountSnapshot]:
        """Return the snapshots from a moment on, oldest first."""
        table = ACCOUNT_SNAPSHOTS
        query = select(table).where(table.c.time >= since).order_by(table.c.time)
        return [AccountSnapshot(**row) for row in self._database.read(query)]

    def record_news(self, events: Sequence[NewsEvent]) -> None:
        """Record scheduled releases; a release known already takes the newer impact."""
        rows = [event.__dict__ for event in events]
        if rows:
            self._database.write(lambda connection: connection.execute(self._put_news, rows))

    def news_events(self, start: int, end: int) -> Sequence[NewsEvent]:
        """Return the releases from `start` until before `end`, UTC epoch seconds, oldest first."""
        table = NEWS_EVENTS
        span = select(table).where(table.c.time >= start, table.c.time < end)
        rows = self._database.read(span.order_by(table.c.time, table.c.currency, table.c.title))
        return [NewsEvent(**row) for row in rows]

    def record_model_metric(self, time: int, name: str, value: float) -> None:
        """Record a figure about a model; one value per moment and name."""
        row = self._own(ModelMetric(time, name, value).__dict__)
        self._database.write(lambda connection: self._put_metric.run(connection, row))

    def model_metrics(self, name: str, since: int = 0) -> Sequence[ModelMetric]:
        """Return a figure's values from a moment on, oldest first."""
        table = MODEL_METRICS
        query = self._read(table, table.c.name == name, table.c.time >= since).order_by(table.c.time)
        return [ModelMetric(**row) for row in self._database.read(query)]

    def model_metrics_between(self, start: int, end: int) -> Sequence[ModelMetric]:
        """Return all figures from `start` until before `end`, UTC epoch seconds, by time and name."""
        found = self._database.find(self._metrics_between, start=start, end=end, of_symbol=self._named)
        return [ModelMetric(**row) for row in found]

    def newest_model_metric(self, name: str) -> ModelMetric | None:
        """Return a figure's newest value, or None when there is none."""
        rows = self._database.find(self._newest_metric, figure=name, of_symbol=self._named)
        return ModelMetric(**rows[0]) if rows else None

    def set_flag(self, name: str, value: str, time: int) -> None:
        """Set a switch that must survive a restart, e.g. "paused"; the newest value counts."""
        flag = Flag(name, value, time)
        self._database.write(lambda connection: connection.execute(self._put_flag, flag.__dict__))

    def clear_flag(self, name: str) -> None:
        """Take a switch away; one that is not set stays so."""
        self._database.write(lambda connection: connection.execute(delete(FLAGS).where(FLAGS.c.name == name)))

    def flag(self, name: str) -> Flag | None:
        """Return a switch, or None when it is not set."""
        rows = self._database.read(select(FLAGS).where(FLAGS.c.name == name))
        return Flag(**rows[0]) if rows else None
