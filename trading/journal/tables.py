"""The tables of the journal, version 4, as SQLAlchemy knows them.

Times are UTC epoch seconds, money USD, volumes lots. What a table looked like in an older
version stands in `trading.journal.versions.migrations` alone.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    UniqueConstraint,
    select,
)

from trading.journal.readable import GUARD_COUNTS, GUARD_MONEY, TRADE_NUMBERS

SCHEMA_VERSION = 4

METADATA = MetaData()


def _symbol() -> Column[str]:
    """Return the column that says whose row it is: the bots of several symbols may keep one journal."""
    return Column("symbol", String, primary_key=True)


SCHEMA = Table(
    "schema_version",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
)
BOT_STATUS = Table(
    "bot_status",
    METADATA,
    _symbol(),
    Column("identity", String, nullable=False),
    Column("last_bar", BigInteger, nullable=False),
    Column("bars_processed", BigInteger, nullable=False),
    Column("bars_missed", BigInteger, nullable=False),
    Column("last_deal", BigInteger, nullable=False),
    Column("cash", Float, nullable=False),
    # Records are JSON objects by field name: a new field is no new version of the journal.
    Column("guard", String, nullable=False, server_default=""),
    Column("models", String, nullable=False),
    Column("finished", Integer, nullable=False),
    # What the breakers' record holds, in columns that SQL can read.
    *(Column(name, Float) for name in GUARD_MONEY),
    *(Column(name, BigInteger) for name in GUARD_COUNTS),
)
DECISIONS = Table(
    "decisions",
    METADATA,
    _symbol(),
    Column("bar", BigInteger, primary_key=True, autoincrement=False),
    Column("action", String, nullable=False),
    Column("side", Integer),
    Column("votes", Integer),
    Column("confidence", Float),
    Column("gap", Float),
    # Names of the failing gates, the block reason first, with blanks between; empty when all passed.
    Column("gates", String),
    Column("price", Float, nullable=False),
    Column("spread", Float, nullable=False),
    Column("atr", Float),
    Column("candidate", String),
    Column("equity", Float, nullable=False),
    # NULL where version 1 decided: what the risk model answered was not written down.
    Column("multiplier", Float),
)
INTENTS = Table(
    "intents",
    METADATA,
    _symbol(),
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
    # What became of the order, a word of `trading.brokers.port.Outcome`; NULL until it is known.
    Column("outcome", String),
    # The broker's own code for it, for whoever asks its support.
    Column("broker_code", String),
    Column("order", BigInteger),
)
DEALS = Table(
    "deals",
    METADATA,
    _symbol(),
    Column("ticket", BigInteger, primary_key=True, autoincrement=False),
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
TRADES = Table(
    "trades",
    METADATA,
    _symbol(),
    Column("deal", BigInteger, primary_key=True, autoincrement=False),
    Column("position", BigInteger, nullable=False, index=True),
    Column("trade", String, nullable=False, server_default=""),
    Column("exit_time", BigInteger, nullable=False),
    # What the record holds, in columns that SQL can read.
    Column("entry_time", BigInteger),
    Column("side", BigInteger),
    *(Column(name, Float) for name in TRADE_NUMBERS),
    Column("exit_reason", String),
    Column("net", Float),
)
POSITION_EVENTS = Table(
    "position_events",
    METADATA,
    _symbol(),
    Column("ticket", BigInteger, primary_key=True, autoincrement=False),
    Column("time", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String, primary_key=True),
    Column("detail", String, nullable=False),
)
ACCOUNT_SNAPSHOTS = Table(
    "account_snapshots",
    METADATA,
    Column("time", BigInteger, primary_key=True, autoincrement=False),
    Column("balance", Float, nullable=False),
    Column("equity", Float, nullable=False),
    Column("margin", Float, nullable=False),
    Column("positions", Integer, nullable=False),
)
MONEY_MOVES = Table(
    "money_moves",
    METADATA,
    Column("ticket", BigInteger, primary_key=True, autoincrement=False),
    Column("time", BigInteger, nullable=False),
    Column("kind", String, nullable=False),
    Column("amount", Float, nullable=False),
    Column("balance", Float, nullable=False),
    Column("comment", String, nullable=False),
)
NEWS_EVENTS = Table(
    "news_events",
    METADATA,
    Column("time", BigInteger, primary_key=True, autoincrement=False),
    Column("currency", String, primary_key=True),
    Column("title", String, primary_key=True),
    Column("impact", String, nullable=False),
)
MODEL_METRICS = Table(
    "model_metrics",
    METADATA,
    _symbol(),
    Column("time", BigInteger, primary_key=True, autoincrement=False),
    Column("name", String, primary_key=True),
    Column("value", Float, nullable=False),
)
OUTBOX = Table(
    "outbox",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("key", String, nullable=False),
    # A message stands here once for every channel that carries it.
    Column("channel", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("text", String, nullable=False),
    Column("attachment", String),
    Column("created", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    # NULL once nobody will try again: the message was sent or given up.
    Column("next_try", BigInteger, index=True),
    Column("sent_at", BigInteger),
    Column("error", String),
    UniqueConstraint("key", "channel"),
)
FLAGS = Table(
    "flags",
    METADATA,
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),
    Column("time", BigInteger, nullable=False),
)

OF_SYMBOL = (BOT_STATUS, DECISIONS, INTENTS, DEALS, TRADES, POSITION_EVENTS, MODEL_METRICS)
"""Tables whose rows are one symbol's. The others tell of the account, of releases, or of messages."""


def columns_of(table: Table) -> list[Column[Any]]:
    """Return a table's columns without the one that repeats the symbol."""
    return [column for column in table.c if column.name != "symbol"]


def rows_of(table: Table, symbol: str) -> Select[Any]:
    """Return the query of a symbol's rows, without the column that repeats it."""
    return select(*columns_of(table)).where(table.c.symbol == symbol)
