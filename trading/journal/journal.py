"""The journal's core: bars with their decisions, intents, deals and trades."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import URL, Connection, func, select, text, update

from engine.gates import gate_names
from engine.records import Guard, from_text, to_text
from novosky.database.connection import Database
from novosky.errors import StorageError
from novosky.market.bars import M15_SECONDS
from trading.journal.outbox import Outbox
from trading.journal.readable import status_columns, trade_columns
from trading.journal.tables import (
    BOT_STATUS,
    DEALS,
    DECISIONS,
    INSERT_DEAL,
    INSERT_DECISION,
    INSERT_INTENT,
    INSERT_STATUS,
    INSERT_TRADE,
    INTENTS,
    TRADES,
    UPDATE_STATUS,
)
from trading.journal.takeover import TakenOver, Takeover
from trading.journal.values import (
    INTENT_FILLED,
    INTENT_NEW,
    INTENT_REJECTED,
    BarNotes,
    BotStatus,
    Decision,
    Intent,
    Message,
    MoneyMove,
)
from trading.journal.versions.migrations import bring_up_to_date

NOTHING_TO_NOTE = BarNotes()
VOLUME_NOISE = 1e-9
"""Lots that are only the noise of sums."""


class Journal(Takeover):
    """A database of decisions, intents, deals and trades.

    An older journal is brought up to date when it is opened. On PostgreSQL a journal open
    for writing holds the lock that keeps a second bot away; of a SQLite file the driver
    holds it (`trading.paper.session.single_instance`).

    Parameters
    ----------
    url : URL or str
        `sqlite_url` of a file, or `journal_url` of a database.
    durable : bool
        Sync every commit to the disk (live and paper); False for replays, which can be
        repeated if the machine itself dies.
    read_only : bool
        Only look, beside a bot at work: nothing is created, brought up to date or locked.
    patience : float
        Seconds to wait for a PostgreSQL server that has gone away.

    Attributes
    ----------
    outbox : Outbox

    Raises
    ------
    StorageError
        The database cannot be opened or written, is damaged, or is of a newer version.
    LockedError
        Another bot holds it.
    """

    def __init__(self, url: URL | str, *, durable: bool, read_only: bool = False, patience: float = 60.0) -> None:
        database = Database(url, durable=durable, read_only=read_only, patience=patience)
        try:
            database.claim()
            bring_up_to_date(database)
        except BaseException:
            database.close()
            raise
        super().__init__(database)
        self.outbox = Outbox(database)
        # The newest bar this journal is known to hold: what is found before a write must be the same.
        self._stands_at: int | None = None

    def check_writable(self) -> None:
        """Fail at once, with `StorageError`, when the database is read-only."""
        self._database.write(lambda connection: connection.execute(text("UPDATE bot_status SET id = id")))

    def status(self) -> BotStatus | None:
        """Return where the bot stands, or None for a new journal."""
        row = self._one(select(BOT_STATUS))
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

    def save_status(self, status: BotStatus, messages: Sequence[Message] = ()) -> None:
        """Write the status alone: at the first start, at the end of a replay, at a halt by order."""

        def write(connection: Connection) -> None:
            self._check_standing(connection)
            _write_status(connection, status)
            self.outbox.enqueue_within(connection, messages)

        self._database.write(write)
        self._stands_at = status.last_bar

    def take_over(self, status: BotStatus, rows: TakenOver) -> None:
        """Write where the bot stands after what others, or a lost journal, have done."""

        def write(connection: Connection) -> None:
            self._take_over_within(connection, rows)
            _write_status(connection, status)

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
            if deals:
                connection.execute(INSERT_DEAL, [dict(row) for row in deals])
            self._move_within(connection, moves)
            _write_status(connection, status)

        begun = select(DEALS.c.ticket).where(DEALS.c.ticket == status.last_deal)
        self._database.write(write, arrived=begun)
        self._stands_at = status.last_bar

    def record_order(self, intent: Intent) -> None:
        """Write an intent that no bar has decided: a person's order between two closes."""
        values = {**intent.__dict__, "state": INTENT_NEW}
        arrived = select(INTENTS).where(INTENTS.c.id == intent.id)
        self._database.write(lambda connection: connection.execute(INSERT_INTENT, values), arrived=arrived)

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

        def write(connection: Connection) -> None:
            connection.execute(INSERT_DECISION, {**decision.__dict__, "gates": _gate_text(decision.gates)})
            if deals:
                connection.execute(INSERT_DEAL, [dict(row) for row in deals])
            if trades:
                connection.execute(INSERT_TRADE, [{**row, **trade_columns(row["trade"])} for row in trades])
            if intents:
                connection.execute(INSERT_INTENT, [{**intent.__dict__, "state": INTENT_NEW} for intent in intents])
            self.outbox.enqueue_within(connection, messages)
            self._note_within(connection, notes)
            self._check_standing(connection)
            _write_status(connection, status)

        recorded = select(DECISIONS.c.bar).where(DECISIONS.c.bar == decision.bar)
        self._database.write(write, arrived=recorded)
        self._stands_at = status.last_bar

    def _check_standing(self, connection: Connection) -> None:
        """Refuse to go on in a journal that was emptied, or replaced by another copy, under a running bot."""
        if self._stands_at is None:
            return
        found = connection.execute(select(BOT_STATUS.c.last_bar)).scalar()
        if found != self._stands_at:
            raise StorageError(
                f"the journal {self._database.place} was {'emptied' if found is None else 'replaced by another copy'} "
                "while it was in use; nothing more is written or sent; put the newest copy in its place, or start anew "
                "and run `novosky journal adopt`"
            )

    def open_intents(self) -> list[Intent]:
        """Return the intents whose order has no known outcome, oldest first."""
        query = select(INTENTS).where(INTENTS.c.state == INTENT_NEW).order_by(INTENTS.c.bar)
        names = Intent.__dataclass_fields__
        return [Intent(**{name: row[name] for name in names}) for row in self._database.read(query)]

    def close_intent(
        self,
        intent: Intent,
        state: str,
        retcode: int,
        order: int,
        gates: int = 0,
        messages: Sequence[Message] = (),
    ) -> None:
        """Record an order's outcome; a rejection also marks the bar's decision as blocked by `gates`.

        Parameters
        ----------
        messages : sequence of Message
            What people are told of the outcome; queued in the same transaction.
        """

        def write(connection: Connection) -> None:
            connection.execute(
                update(INTENTS).where(INTENTS.c.id == intent.id).values(state=state, retcode=retcode, order=order)
            )
            if state == INTENT_REJECTED and intent.kind == "entry":
                blocked = update(DECISIONS).where(DECISIONS.c.bar == intent.bar)
                connection.execute(blocked.values(action="blocked", gates=_gate_text(gates)))
            if state == INTENT_FILLED and intent.kind == "entry":
                # An order that was taken for refused had marked the decision so.
                late = (DECISIONS.c.bar == intent.bar) & (DECISIONS.c.action == "blocked")
                connection.execute(update(DECISIONS).where(late).values(action="entry", gates=""))
            self.outbox.enqueue_within(connection, messages)

        self._database.write(write)

    def refused_intent(self, intent_id: str) -> Intent | None:
        """Return an intent whose order is recorded as refused, or None."""
        return self._refused(INTENTS.c.id == intent_id)

    def refused_entry(self, time: int, volume: float) -> Intent | None:
        """Return the newest entry of this volume that was refused in the bar before `time`, UTC epoch seconds."""
        within = (INTENTS.c.bar <= time) & (INTENTS.c.bar > time - M15_SECONDS)
        return self._refused(within & (INTENTS.c.kind == "entry") & (INTENTS.c.volume == volume))

    def _refused(self, condition: Any) -> Intent | None:
        refused = select(INTENTS).where(condition, INTENTS.c.state == INTENT_REJECTED)
        row = self._one(refused.order_by(INTENTS.c.bar.desc()).limit(1))
        names = Intent.__dataclass_fields__
        return None if row is None else Intent(**{name: row[name] for name in names})

    def intents_of(self, bar: int) -> Sequence[Mapping[str, Any]]:
        """Return the rows of the intents decided at a bar's close (UTC epoch seconds)."""
        return self._database.read(select(INTENTS).where(INTENTS.c.bar == bar).order_by(INTENTS.c.id))

    def intent(self, intent_id: str) -> Mapping[str, Any] | None:
        """Return one intent's row, or None."""
        return self._one(select(INTENTS).where(INTENTS.c.id == intent_id))

    def intent_of_order(self, order: int) -> Mapping[str, Any] | None:
        """Return the row of the entry whose order had this ticket, or None; brokers overwrite comments."""
        return self._one(select(INTENTS).where(INTENTS.c.order == order, INTENTS.c.kind == "entry"))

    def exit_of(self, position: int) -> Mapping[str, Any] | None:
        """Return the row of the newest intent to close a position, or None."""
        exits = select(INTENTS).where(INTENTS.c.position == position, INTENTS.c.kind == "exit")
        return self._one(exits.order_by(INTENTS.c.bar.desc()).limit(1))

    def entry_deals(self, position: int) -> Sequence[Mapping[str, Any]]:
        """Return the rows of the deals that opened a position, in order of their tickets."""
        query = select(DEALS).where(DEALS.c.position == position, DEALS.c.entry == 0).order_by(DEALS.c.ticket)
        return self._database.read(query)

    def closed_volume(self, position: int) -> float:
        """Return the lots of a position that recorded deals have closed."""
        exits = select(DEALS.c.volume).where(DEALS.c.position == position, DEALS.c.entry == 1)
        return float(sum(row["volume"] for row in self._database.read(exits)))

    def is_flat(self, magic: int) -> bool:
        """Tell whether every lot that was opened with this magic is recorded as closed."""
        opened = (DEALS.c.magic == magic) & (DEALS.c.entry == 0)
        own = DEALS.c.position.in_(select(DEALS.c.position).where(opened))
        lots = select(DEALS.c.position, DEALS.c.entry, func.sum(DEALS.c.volume).label("lots")).where(own)
        left: dict[int, float] = {}
        for row in self._database.read(lots.group_by(DEALS.c.position, DEALS.c.entry)):
            left[row["position"]] = left.get(row["position"], 0.0) + (
                row["lots"] if row["entry"] == 0 else -row["lots"]
            )
        return all(abs(each) < VOLUME_NOISE for each in left.values())

    def held_positions(self, magic: int) -> frozenset[int]:
        """Return the positions that were opened with this magic and of which nothing was closed yet."""
        own = (DEALS.c.magic == magic) & (DEALS.c.entry == 0)
        query = select(DEALS.c.position).where(own, DEALS.c.position.not_in(select(TRADES.c.position)))
        return frozenset(row["position"] for row in self._database.read(query))

    def trades(self) -> list[str]:
        """Return the records of all closed trades in order of exit, as `engine.layouts.to_text` writes them."""
        query = select(TRADES).order_by(TRADES.c.exit_time, TRADES.c.deal)
        return [row["trade"] for row in self._database.read(query)]

    def blocks(self) -> Sequence[Mapping[str, Any]]:
        """Return the decisions that were blocked, oldest first."""
        query = select(DECISIONS).where(DECISIONS.c.action == "blocked").order_by(DECISIONS.c.bar)
        return self._database.read(query)

    def table_sizes(self) -> tuple[int, int]:
        """Return how many trades were closed and how many decisions were blocked so far."""
        blocked = select(func.count()).select_from(DECISIONS).where(DECISIONS.c.action == "blocked")
        row = self._one(
            select(func.count().label("trades"), blocked.scalar_subquery().label("blocked")).select_from(TRADES)
        )
        assert row is not None, "counting always gives a row"
        return row["trades"], row["blocked"]

    def decision(self, bar: int) -> Mapping[str, Any] | None:
        """Return the row of the decision at a bar's close (UTC epoch seconds), or None."""
        return self._one(select(DECISIONS).where(DECISIONS.c.bar == bar))

    def decisions(self) -> Sequence[Mapping[str, Any]]:
        """Return the rows of all decisions, oldest first."""
        return self._database.read(select(DECISIONS).order_by(DECISIONS.c.bar))

    def intents(self) -> Sequence[Mapping[str, Any]]:
        """Return the rows of all intents, oldest first."""
        return self._database.read(select(INTENTS).order_by(INTENTS.c.bar))

    def deals(self) -> Sequence[Mapping[str, Any]]:
        """Return the rows of all deals in order of their tickets, foreign ones and deposits too."""
        return self._database.read(select(DEALS).order_by(DEALS.c.ticket))

    def _one(self, query: Any) -> Mapping[str, Any] | None:
        rows = self._database.read(query)
        return rows[0] if rows else None

    def close(self) -> None:
        """Release the database."""
        self._database.close()


def _gate_text(mask: int | None) -> str | None:
    """Return the names of the failing gates as the column holds them."""
    return None if mask is None else " ".join(gate_names(mask))


def _write_status(connection: Connection, status: BotStatus) -> None:
    values = {**status.__dict__, "guard": to_text(status.guard), "finished": int(status.finished)}
    values |= status_columns(status.guard)
    if connection.execute(UPDATE_STATUS, values).rowcount == 0:
        connection.execute(INSERT_STATUS, {**values, "id": 1})
