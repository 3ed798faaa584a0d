"""The bot's journal: what it decided, intended, traded and is, in a database.

Everything that belongs to one bar is written in one transaction, so that a bar has either
been processed or not. An intent is written before its order is sent. SQLite in WAL mode is
the default; any SQLAlchemy URL works.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    BigInteger,
    Column,
    Connection,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import SQLAlchemyError

from novosky.errors import StorageError
from trading.engine.records import Guard, from_bytes, to_bytes

SCHEMA_VERSION = 1

INTENT_NEW = "new"
INTENT_FILLED = "filled"
INTENT_REJECTED = "rejected"

_metadata = MetaData()

_bot_status = Table(
    "bot_status",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("schema_version", Integer, nullable=False),
    Column("identity", String, nullable=False),
    Column("last_bar", BigInteger, nullable=False),
    Column("bars_processed", BigInteger, nullable=False),
    Column("bars_missed", BigInteger, nullable=False),
    Column("last_deal", BigInteger, nullable=False),
    Column("cash", Float, nullable=False),
    Column("guard", LargeBinary, nullable=False),
    Column("models", String, nullable=False),
    Column("finished", Integer, nullable=False),
)
_decisions = Table(
    "decisions",
    _metadata,
    Column("bar", BigInteger, primary_key=True),
    Column("action", String, nullable=False),
    Column("side", Integer),
    Column("votes", Integer),
    Column("confidence", Float),
    Column("gap", Float),
    Column("gates", BigInteger),
    Column("price", Float, nullable=False),
    Column("spread", Float, nullable=False),
    Column("atr", Float),
    Column("candidate", LargeBinary),
    Column("equity", Float, nullable=False),
)
_intents = Table(
    "intents",
    _metadata,
    Column("id", String, primary_key=True),
    Column("bar", BigInteger, nullable=False),
    Column("kind", String, nullable=False),
    Column("side", Integer, nullable=False),
    Column("volume", Float, nullable=False),
    Column("sl", Float, nullable=False),
    Column("tp", Float, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("reason", Integer, nullable=False),
    Column("state", String, nullable=False, index=True),
    Column("retcode", Integer),
    Column("order", BigInteger),
)
_position_events = Table(
    "position_events",
    _metadata,
    Column("ticket", BigInteger, primary_key=True),
    Column("position", BigInteger, nullable=False, index=True),
    Column("time", BigInteger, nullable=False),
    Column("entry", Integer, nullable=False),
    Column("reason", Integer, nullable=False),
    Column("volume", Float, nullable=False),
    Column("price", Float, nullable=False),
    Column("commission", Float, nullable=False),
    Column("swap", Float, nullable=False),
    Column("profit", Float, nullable=False),
    Column("magic", BigInteger, nullable=False),
    Column("comment", String, nullable=False),
)
_trades = Table(
    "trades",
    _metadata,
    Column("deal", BigInteger, primary_key=True),
    Column("position", BigInteger, nullable=False, index=True),
    Column("trade", LargeBinary, nullable=False),
    Column("exit_time", BigInteger, nullable=False),
)


# Built once: SQLAlchemy compiles a statement it has seen before at no cost.
_INSERT_EVENT = insert(_position_events)
_INSERT_TRADE = insert(_trades)
_INSERT_DECISION = insert(_decisions)
_INSERT_INTENT = insert(_intents)
_INSERT_STATUS = insert(_bot_status)
_UPDATE_STATUS = update(_bot_status).where(_bot_status.c.id == 1)


@dataclass(frozen=True)
class BotStatus:
    """Where the bot stands after the newest processed bar.

    Attributes
    ----------
    identity : str
        Account, symbol and, in a replay, bars and settings this journal belongs to.
    last_bar : int
        Close of the newest processed bar, UTC epoch seconds; 0 before the first.
    bars_processed, bars_missed : int
        Bars acted on, and bars that closed while the bot was away.
    last_deal : int
        Ticket of the newest deal taken into account.
    cash : float
        Sum of all deals so far: the balance, USD.
    guard : Guard
        The breakers.
    models : str
        Which artifact serves each model.
    finished : bool
        True once a replay has reached its end.
    """

    identity: str
    last_bar: int
    bars_processed: int
    bars_missed: int
    last_deal: int
    cash: float
    guard: Guard
    models: str
    finished: bool


@dataclass(frozen=True)
class Intent:
    """An order the bot means to send: written first, sent second, closed third."""

    id: str
    bar: int
    kind: str
    side: int
    volume: float
    sl: float
    tp: float
    position: int
    reason: int


@dataclass(frozen=True)
class Decision:
    """What was decided at a close; fields of the candidate are None when there was none."""

    bar: int
    action: str
    price: float
    spread: float
    equity: float
    side: int | None = None
    votes: int | None = None
    confidence: float | None = None
    gap: float | None = None
    gates: int | None = None
    atr: float | None = None
    candidate: bytes | None = None


def sqlite_url(path: Path) -> URL:
    """Return the URL of a SQLite file, whatever characters its path holds."""
    return URL.create("sqlite", database=str(path))


class Journal:
    """A database of decisions, intents, deals and trades.

    Parameters
    ----------
    url : URL or str
        SQLAlchemy URL; `sqlite_url` for a file.
    durable : bool
        Sync every commit to the disk (live and paper); False for replays, which can be
        repeated if the machine itself dies.

    Raises
    ------
    StorageError
        The database cannot be opened or written, or is of a newer version.
    """

    def __init__(self, url: URL | str, *, durable: bool) -> None:
        self._place = make_url(url).render_as_string(hide_password=True)
        self._engine: Engine = create_engine(url)
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _sqlite_pragmas(durable))
        try:
            with self._engine.begin() as connection:
                _metadata.create_all(connection)
                version = connection.execute(select(_bot_status.c.schema_version)).scalar()
        except (SQLAlchemyError, OSError) as error:
            raise self._storage_error(error) from error
        if version is not None and version != SCHEMA_VERSION:
            raise StorageError(
                f"journal {self._place} has version {version}, this program writes {SCHEMA_VERSION}; "
                "use the matching release"
            )

    def _storage_error(self, error: Exception) -> StorageError:
        cause = getattr(error, "orig", None) or error
        return StorageError(
            f"journal {self._place} cannot be used: {cause}; check the path, the permissions and the disk"
        )

    def check_writable(self) -> None:
        """Fail at once, with `StorageError`, when the database is read-only."""
        with self._transaction() as connection:
            connection.execute(text("UPDATE bot_status SET id = id"))

    def status(self) -> BotStatus | None:
        """Return where the bot stands, or None for a new journal."""
        row = self._one(select(_bot_status))
        if row is None:
            return None
        try:
            guard = from_bytes(Guard, row["guard"])
        except ValueError as error:
            raise StorageError(
                f"journal {self._place} was written by another version ({error}); use the matching release"
            ) from error
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

    def save_status(self, status: BotStatus) -> None:
        """Write the status alone, at the first start and at the end of a replay."""
        with self._transaction() as connection:
            self._write_status(connection, status)

    def record_bar(
        self,
        status: BotStatus,
        decision: Decision,
        intents: list[Intent],
        deals: Sequence[Mapping[str, Any]],
        trades: Sequence[Mapping[str, Any]],
    ) -> None:
        """Write everything of one bar in one transaction.

        Parameters
        ----------
        deals, trades : sequences of mappings
            Rows of `position_events` and `trades`.
        """
        with self._transaction() as connection:
            if deals:
                connection.execute(_INSERT_EVENT, [dict(row) for row in deals])
            if trades:
                connection.execute(_INSERT_TRADE, [dict(row) for row in trades])
            connection.execute(_INSERT_DECISION, decision.__dict__)
            if intents:
                connection.execute(_INSERT_INTENT, [{**intent.__dict__, "state": INTENT_NEW} for intent in intents])
            self._write_status(connection, status)

    def open_intents(self) -> list[Intent]:
        """Return the intents whose order has no known outcome, oldest first."""
        query = select(_intents).where(_intents.c.state == INTENT_NEW).order_by(_intents.c.bar)
        names = Intent.__dataclass_fields__
        return [Intent(**{name: row[name] for name in names}) for row in self._all(query)]

    def close_intent(self, intent: Intent, state: str, retcode: int, order: int, gates: int = 0) -> None:
        """Record an order's outcome; a rejection also marks the bar's decision as blocked by `gates`."""
        with self._transaction() as connection:
            connection.execute(
                update(_intents).where(_intents.c.id == intent.id).values(state=state, retcode=retcode, order=order)
            )
            if state == INTENT_REJECTED and intent.kind == "entry":
                connection.execute(
                    update(_decisions).where(_decisions.c.bar == intent.bar).values(action="blocked", gates=gates)
                )

    def intent(self, intent_id: str) -> Mapping[str, Any] | None:
        """Return one intent's row, or None."""
        return self._one(select(_intents).where(_intents.c.id == intent_id))

    def intent_of_order(self, order: int) -> Mapping[str, Any] | None:
        """Return the row of the entry whose order had this ticket, or None; brokers overwrite comments."""
        return self._one(select(_intents).where(_intents.c.order == order, _intents.c.kind == "entry"))

    def exit_of(self, position: int) -> Mapping[str, Any] | None:
        """Return the row of the newest intent to close a position, or None."""
        rows = self._all(
            select(_intents)
            .where(_intents.c.position == position, _intents.c.kind == "exit")
            .order_by(_intents.c.bar.desc())
            .limit(1)
        )
        return rows[0] if rows else None

    def entry_deal(self, position: int) -> Mapping[str, Any] | None:
        """Return the row of the deal that opened a position, or None."""
        query = select(_position_events).where(_position_events.c.position == position, _position_events.c.entry == 0)
        return self._one(query)

    def held_positions(self, magic: int) -> frozenset[int]:
        """Return the positions that were opened with this magic and of which nothing was closed yet."""
        own = (_position_events.c.magic == magic) & (_position_events.c.entry == 0)
        query = select(_position_events.c.position).where(own)
        closed = select(_trades.c.position)
        return frozenset(row["position"] for row in self._all(query.where(_position_events.c.position.not_in(closed))))

    def trades(self) -> list[bytes]:
        """Return the records of all closed trades in order of exit."""
        return [row["trade"] for row in self._all(select(_trades).order_by(_trades.c.exit_time, _trades.c.deal))]

    def blocks(self) -> Sequence[Mapping[str, Any]]:
        """Return the decisions that were blocked, oldest first."""
        return self._all(select(_decisions).where(_decisions.c.action == "blocked").order_by(_decisions.c.bar))

    def _write_status(self, connection: Connection, status: BotStatus) -> None:
        values = {
            **status.__dict__,
            "schema_version": SCHEMA_VERSION,
            "guard": to_bytes(status.guard),
            "finished": int(status.finished),
        }
        if connection.execute(_UPDATE_STATUS, values).rowcount == 0:
            connection.execute(_INSERT_STATUS, {**values, "id": 1})

    def _transaction(self) -> _Transaction:
        return _Transaction(self)

    def _one(self, query: Any) -> Mapping[str, Any] | None:
        rows = self._all(query)
        return rows[0] if rows else None

    def _all(self, query: Any) -> Sequence[Mapping[str, Any]]:
        try:
            with self._engine.connect() as connection:
                return [dict(row) for row in connection.execute(query).mappings()]
        except SQLAlchemyError as error:
            raise self._storage_error(error) from error

    def close(self) -> None:
        """Release the database."""
        self._engine.dispose()


class _Transaction:
    """`engine.begin()` with database errors named as storage errors."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._begin = journal._engine.begin()

    def __enter__(self) -> Connection:
        try:
            return self._begin.__enter__()
        except SQLAlchemyError as error:
            raise self._journal._storage_error(error) from error

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            self._begin.__exit__(kind, error, trace)
        except SQLAlchemyError as failure:
            raise self._journal._storage_error(failure) from failure
        if isinstance(error, SQLAlchemyError):
            raise self._journal._storage_error(error) from error


def _sqlite_pragmas(durable: bool) -> Any:
    def set_pragmas(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        connection.execute("PRAGMA busy_timeout=5000")

    return set_pragmas
