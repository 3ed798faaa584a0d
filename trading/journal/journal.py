"""The journal's core: bars with their decisions, intents, deals and trades."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import URL, Connection, func, select, text

from alerts.message import Message
from engine.gates import gate_names
from engine.records import Guard, from_text, to_text
from novosky.database.connection import Database
from novosky.database.prepared import Prepared
from novosky.database.use import Use
from novosky.errors import StorageError
from novosky.market.instrument import BOT_MAGIC, VOLUME_NOISE
from trading.journal.outbox import Outbox
from trading.journal.readable import status_columns, trade_columns
from trading.journal.rows import Rows, first
from trading.journal.statements import Statements
from trading.journal.tables import BOT_STATUS, DEALS, DECISIONS, INTENTS, TRADES
from trading.journal.takeover import TakenOver
from trading.journal.values import (
    INTENT_FILLED,
    INTENT_NEW,
    INTENT_REJECTED,
    BarNotes,
    BotStatus,
    Decision,
    Intent,
    MoneyMove,
)
from trading.journal.versions.migrations import bring_up_to_date

JOURNAL = Use("journal", "bot", 770_001, "start anew and run `novosky journal adopt`")
"""What a database is to a bot; the lock's number must never change, or an older bot would not be kept away."""
NOTHING_TO_NOTE = BarNotes()


class Journal(Rows):
    """A database of decisions, intents, deals and trades.

    An older journal is brought up to date when it is opened. On PostgreSQL a journal open
    for writing holds the lock that keeps a second bot away; of a SQLite file the driver
    holds it (`trading.paper.session.single_instance`).

    Parameters
    ----------
    url : URL or str
        `sqlite_url` of a file, or `journal_url` of a database.
    symbol : str or None
        Whose rows are read and written; None takes the only symbol that the journal holds.
    magic : int
        Marks the orders and positions of the bot whose journal this is.
    durable : bool
        Sync every commit to the disk (live and paper); False for replays, which can be
        repeated if the machine itself dies.
    read_only : bool
        Only look, beside a bot at work: nothing is created, brought up to date or locked.
    patience : float
        Seconds to wait for a PostgreSQL server that has gone away.
    channels : sequence of str
        The alert channels that messages are queued for, see `alerts.family`.

    Attributes
    ----------
    outbox : Outbox
    magic : int

    Raises
    ------
    StorageError
        The database cannot be opened or written, is damaged, or is of a newer version.
    LockedError
        Another bot holds it.
    """

    def __init__(
        self,
        url: URL | str,
        *,
        durable: bool,
        symbol: str | None = None,
        magic: int = BOT_MAGIC,
        read_only: bool = False,
        patience: float = 60.0,
        channels: Sequence[str] = (),
    ) -> None:
        database = Database(url, JOURNAL, durable=durable, read_only=read_only, patience=patience)
        try:
            database.claim()
            bring_up_to_date(database, symbol)
        except BaseException:
            database.close()
            raise
        super().__init__(database, symbol)
        self.magic = magic
        self.outbox = Outbox(database, channels)
        self._statements = Statements(database)
        # The newest bar this journal is known to hold: what is found before a write must be the same.
        self._stands_at: int | None = None

    def check_writable(self) -> None:
        """Fail at once, with `StorageError`, when the database is read-only."""
        self._database.write(lambda connection: connection.execute(text("UPDATE bot_status SET symbol = symbol")))

    def status(self) -> BotStatus | None:
        """Return where the bot stands, or None for a new journal."""
        row = self._one(self._read(BOT_STATUS))
        if row is None:
            return None
        try:
            guard = from_text(Guard, row["guard"])
        except ValueError as error:
            raise StorageError(
                f"journal {self._database.place} was written by another version ({error}); use the matching release"
            ) from error
        if self._stands_at is None:
            self._stands_at = row["last_bar"]
        return BotStatus(
            identity=row["identity"],
            last_bar=row["last_bar"],
            bars_processed=row["bars_processed"],
            bars_missed=row["bars_missed"],
            last_deal=row["last_deal"],
            cash=row["cash"],
            guard=guard,
            models=row["models"],
            finished=bool(row["finished"]),
        )

    def stranger(self) -> str | None:
        """Return what the journal belongs to where it holds bots, and none of them trades this symbol."""
        rows = self._database.read(select(BOT_STATUS.c.symbol, BOT_STATUS.c.identity))
        if self._symbol is None or any(row["symbol"] == self._symbol for row in rows):
            return None
        return str(rows[0]["identity"]) if rows else None

    def save_status(self, status: BotStatus, messages: Sequence[Message] = ()) -> None:
        """Write the status alone: at the first start, at the end of a replay, at a halt by order."""

        def write(connection: Connection) -> None:
            self._check_standing(connection)
            self._write_status(connection, status)
            self.outbox.enqueue_within(connection, messages)

        self._database.write(write)
        self._stands_at = status.last_bar

    def take_over(self, status: BotStatus, rows: TakenOver) -> None:
        """Write where the bot stands after what others, or a lost journal, have done."""

        def write(connection: Connection) -> None:
            self._take_over_within(connection, rows)
            self._write_status(connection, status)

        self._database.write(write)
        self._stands_at = status.last_bar

    def begin(self, status: BotStatus, deals: Sequence[Mapping[str, Any]], moves: Sequence[MoneyMove]) -> None:
        """Write where a bot begins that has processed nothing yet: after the deals the account had made before.

        Parameters
        ----------
        deals : sequence of mappings
            Rows of `deals`.
        moves : sequence of MoneyMove
        """

        def write(connection: Connection) -> None:
            self._statements.insert_deal.run_each(connection, [self._own(row) for row in deals])
            self._move_within(connection, moves)
            self._write_status(connection, status)

        begun = self._read(DEALS, DEALS.c.ticket == status.last_deal)
        self._database.write(write, arrived=begun)
        self._stands_at = status.last_bar

    def record_order(self, intent: Intent) -> None:
        """Write an intent that no bar has decided: a person's order between two closes."""
        values = self._own({**intent.__dict__, "state": INTENT_NEW})
        arrived = self._read(INTENTS, INTENTS.c.id == intent.id)
        insert = self._statements.insert_intent
        self._database.write(lambda connection: insert.run(connection, values), arrived=arrived)

    def record_bar(
        self,
        status: BotStatus,
        decision: Decision,
        intents: list[Intent],
        deals: Sequence[Mapping[str, Any]],
        trades: Sequence[Mapping[str, Any]],
        messages: Sequence[Message] = (),
        notes: BarNotes = NOTHING_TO_NOTE,
    ) -> None:
        """Write everything of one bar in one transaction.

        The bar's decision is its key: a bar is recorded once, and after a connection that was
        lost during the commit it tells whether the bar is there.

        Parameters
        ----------
        deals, trades : sequences of mappings
            Rows of `deals` and `trades`.
        messages : sequence of Message
            What people are told of this bar; queued in the same transaction.
        notes : BarNotes
            Rows of `position_events` and `model_metrics`.

        Raises
        ------
        StorageError
            Nothing of the bar was written, or it was recorded before.
        """
        statements = self._statements

        def write(connection: Connection) -> None:
            decided = {**decision.__dict__, "gates": _gate_text(decision.gates)}
            statements.insert_decision.run(connection, self._own(decided))
            statements.insert_deal.run_each(connection, [self._own(row) for row in deals])
            rows = [self._own({**row, **trade_columns(row["trade"])}) for row in trades]
            statements.insert_trade.run_each(connection, rows)
            new = [self._own({**intent.__dict__, "state": INTENT_NEW}) for intent in intents]
            statements.insert_intent.run_each(connection, new)
            self.outbox.enqueue_within(connection, messages)
            self._note_within(connection, notes)
            self._check_standing(connection)
            self._write_status(connection, status)

        recorded = self._read(DECISIONS, DECISIONS.c.bar == decision.bar)
        self._database.write(write, arrived=recorded)
        self._stands_at = status.last_bar

    def _check_standing(self, connection: Connection) -> None:
        """Refuse to go on in a journal that was emptied, or replaced by another copy, under a running bot."""
        if self._stands_at is None:
            return
        rows = self._statements.newest_bar.rows(connection, {"of_symbol": self.symbol})
        found = rows[0]["last_bar"] if rows else None
        if found != self._stands_at:
            raise StorageError(
                f"the journal {self._database.place} was {'emptied' if found is None else 'replaced by another copy'} "
                "while it was in use; nothing more is written or sent; put the newest copy in its place, or start anew "
                "and run `novosky journal adopt`"
            )

    def open_intents(self) -> list[Intent]:
        """Return the intents whose order has no known outcome, oldest first."""
        query = self._read(INTENTS, INTENTS.c.state == INTENT_NEW).order_by(INTENTS.c.bar)
        names = Intent.__dataclass_fields__
        return [Intent(**{name: row[name] for name in names}) for row in self._database.read(query)]

    def close_intent(
        self,
        intent: Intent,
        state: str,
        outcome: str,
        order: int,
        gates: int = 0,
        messages: Sequence[Message] = (),
        code: str = "",
    ) -> None:
        """Record an order's outcome; a rejection also marks the bar's decision as blocked by `gates`.

        Parameters
        ----------
        outcome : str
            A word of `trading.brokers.port.Outcome`.
        messages : sequence of Message
            What people are told of the outcome; queued in the same transaction.
        code : str
            The broker's own code for it, empty where it gave none.
        """
        statements, mine = self._statements, {"of_symbol": self.symbol}
        # A plain text: not every database driver stores an enumeration by its value.
        ended = {"state": state, "outcome": str(outcome), "broker_code": code or None, "order": order}

        def write(connection: Connection) -> None:
            statements.close_intent.run(connection, {**ended, **mine, "intent": intent.id})
            if intent.kind == "entry" and state == INTENT_REJECTED:
                blocked = {"action": "blocked", "gates": _gate_text(gates), **mine, "at": intent.bar}
                statements.block_decision.run(connection, blocked)
            if intent.kind == "entry" and state == INTENT_FILLED:
                entered = {"action": "entry", "gates": "", **mine, "at": intent.bar}
                statements.unblock_decision.run(connection, entered)
            self.outbox.enqueue_within(connection, messages)

        self._database.write(write)

    def refused_intent(self, intent_id: str) -> Intent | None:
        """Return an intent whose order is recorded as refused, or None."""
        return _first_intent(self._find(self._statements.refused_intent, intent=intent_id))

    def refused_entry(self, time: int, volume: float, bar_seconds: int) -> Intent | None:
        """Return the newest entry of this volume that was refused in the bar before `time`, UTC epoch seconds."""
        within = {"until": time, "after": time - bar_seconds, "lots": volume}
        return _first_intent(self._find(self._statements.refused_entry, **within))

    def intents_of(self, bar: int) -> Sequence[Mapping[str, Any]]:
        """Return the rows of the intents decided at a bar's close (UTC epoch seconds)."""
        return self._database.read(self._read(INTENTS, INTENTS.c.bar == bar).order_by(INTENTS.c.id))

    def intent(self, intent_id: str) -> Mapping[str, Any] | None:
        """Return one intent's row, or None."""
        return first(self._find(self._statements.intent, intent=intent_id))

    def intent_of_order(self, order: int) -> Mapping[str, Any] | None:
        """Return the row of the entry whose order had this ticket, or None; brokers overwrite comments."""
        return first(self._find(self._statements.intent_of_order, ticket=order))

    def exit_of(self, position: int) -> Mapping[str, Any] | None:
        """Return the row of the newest intent to close a position, or None."""
        return first(self._find(self._statements.exit_of, ticket=position))

    def entry_deals(self, position: int) -> Sequence[Mapping[str, Any]]:
        """Return the rows of the deals that opened a position, in order of their tickets."""
        return self._find(self._statements.entry_deals, ticket=position)

    def closed_volume(self, position: int) -> float:
        """Return the lots of a position that recorded deals have closed."""
        rows = self._find(self._statements.closed_lots, ticket=position)
        return float(sum(row["volume"] for row in rows))

    def is_flat(self) -> bool:
        """Tell whether every lot that was opened with the bot's magic is recorded as closed."""
        mine = DEALS.c.symbol == self.symbol
        opened = mine & (DEALS.c.magic == self.magic) & (DEALS.c.entry == 0)
        own = DEALS.c.position.in_(select(DEALS.c.position).where(opened))
        lots = select(DEALS.c.position, DEALS.c.entry, func.sum(DEALS.c.volume).label("lots")).where(mine, own)
        left: dict[int, float] = {}
        for row in self._database.read(lots.group_by(DEALS.c.position, DEALS.c.entry)):
            left[row["position"]] = left.get(row["position"], 0.0) + (
                row["lots"] if row["entry"] == 0 else -row["lots"]
            )
        return all(abs(each) < VOLUME_NOISE for each in left.values())

    def held_positions(self) -> frozenset[int]:
        """Return the positions that were opened with the bot's magic and of which nothing was closed yet."""
        closed = select(TRADES.c.position).where(TRADES.c.symbol == self.symbol)
        opened = self._read(DEALS, DEALS.c.magic == self.magic, DEALS.c.entry == 0)
        query = opened.where(DEALS.c.position.not_in(closed))
        return frozenset(row["position"] for row in self._database.read(query))

    def _find(self, query: Prepared, **values: Any) -> Sequence[Mapping[str, Any]]:
        """Return what a prepared query finds among this symbol's rows."""
        return self._database.find(query, **values, of_symbol=self._named)

    def _write_status(self, connection: Connection, status: BotStatus) -> None:
        values = {**status.__dict__, "guard": to_text(status.guard), "finished": int(status.finished)}
        values |= status_columns(status.guard)
        # Only the first time there is no row.
        if self._statements.update_status.run(connection, {**values, "of_symbol": self.symbol}) == 0:
            self._statements.insert_status.run(connection, self._own(values))

    def close(self) -> None:
        """Release the database."""
        self._database.close()


def _gate_text(mask: int | None) -> str | None:
    """Return the names of the failing gates as the column holds them."""
    return None if mask is None else " ".join(gate_names(mask))


def _first_intent(rows: Sequence[Mapping[str, Any]]) -> Intent | None:
    names = Intent.__dataclass_fields__
    return Intent(**{name: rows[0][name] for name in names}) if rows else None
