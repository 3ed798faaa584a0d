"""Journals as older versions of the program wrote them: frozen, whatever the program does today."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, text

from trading.journal.versions.third import second_to_third

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
"""Rows of each table of version 1."""

_VERSION_1 = """
CREATE TABLE bot_status (
    id {serial} NOT NULL, schema_version INTEGER NOT NULL, identity VARCHAR NOT NULL, last_bar BIGINT NOT NULL,
    bars_processed BIGINT NOT NULL, bars_missed BIGINT NOT NULL, last_deal BIGINT NOT NULL, cash {float} NOT NULL,
    guard {blob} NOT NULL, models VARCHAR NOT NULL, finished INTEGER NOT NULL, PRIMARY KEY (id)
);
CREATE TABLE decisions (
    bar {bigserial} NOT NULL, action VARCHAR NOT NULL, side INTEGER, votes INTEGER, confidence {float}, gap {float},
    gates BIGINT, price {float} NOT NULL, spread {float} NOT NULL, atr {float}, candidate {blob},
    equity {float} NOT NULL, PRIMARY KEY (bar)
);
CREATE TABLE intents (
    id VARCHAR NOT NULL, bar BIGINT NOT NULL, kind VARCHAR NOT NULL, side INTEGER NOT NULL, volume {float} NOT NULL,
    sl {float} NOT NULL, tp {float} NOT NULL, position BIGINT NOT NULL, reason INTEGER NOT NULL,
    state VARCHAR NOT NULL, retcode INTEGER, "order" BIGINT, PRIMARY KEY (id)
);
CREATE INDEX ix_intents_state ON intents (state);
CREATE TABLE position_events (
    ticket {bigserial} NOT NULL, position BIGINT NOT NULL, time BIGINT NOT NULL, entry INTEGER NOT NULL,
    reason INTEGER NOT NULL, volume {float} NOT NULL, price {float} NOT NULL, commission {float} NOT NULL,
    swap {float} NOT NULL, profit {float} NOT NULL, magic BIGINT NOT NULL, comment VARCHAR NOT NULL,
    PRIMARY KEY (ticket)
);
CREATE INDEX ix_position_events_position ON position_events (position);
CREATE TABLE trades (
    deal {bigserial} NOT NULL, position BIGINT NOT NULL, trade {blob} NOT NULL, exit_time BIGINT NOT NULL,
    PRIMARY KEY (deal)
);
CREATE INDEX ix_trades_position ON trades (position);
"""

_RING = 32
_FIELDS_1: list[Any] = [
    *[(name, kind) for kind, name in (pair.split() for pair in (
        "i8 time", "f8 equity", "f8 peak_equity", "i8 next_day", "i8 next_week", "f8 day_equity", "i8 day_losses",
        "i1 day_blocked", "f8 week_peak", "i1 week_blocked", "i8 losses", "i8 wins", "i1 halted", "f8 halt_balance",
        "i8 paused_until", "i8 closed"))],
    ("balances", "f8", (_RING,)),
]  # fmt: skip
FIRST_GUARD = np.dtype(_FIELDS_1)
"""The status's record before the risk model came; afterwards `results` followed at its end."""
SECOND_GUARD = np.dtype([*_FIELDS_1, ("results", "f8", (_RING,))])
_TO_VERSION_2 = """
ALTER TABLE position_events RENAME TO deals;
DROP INDEX ix_position_events_position;
CREATE INDEX ix_deals_position ON deals (position);
ALTER TABLE decisions ADD COLUMN multiplier {float};
CREATE TABLE schema_version (id INTEGER NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (id));
INSERT INTO schema_version (id, version) VALUES (1, 2);
ALTER TABLE bot_status DROP COLUMN schema_version;
CREATE TABLE position_events (
    ticket BIGINT NOT NULL, time BIGINT NOT NULL, kind VARCHAR NOT NULL, detail VARCHAR NOT NULL,
    PRIMARY KEY (ticket, time, kind)
);
CREATE TABLE account_snapshots (
    time BIGINT NOT NULL, balance {float} NOT NULL, equity {float} NOT NULL, margin {float} NOT NULL,
    positions INTEGER NOT NULL, PRIMARY KEY (time)
);
CREATE TABLE news_events (
    time BIGINT NOT NULL, currency VARCHAR NOT NULL, title VARCHAR NOT NULL, impact VARCHAR NOT NULL,
    PRIMARY KEY (time, currency, title)
);
CREATE TABLE model_metrics (
    time BIGINT NOT NULL, name VARCHAR NOT NULL, value {float} NOT NULL, PRIMARY KEY (time, name)
);
CREATE TABLE outbox (
    id {serial} NOT NULL, key VARCHAR NOT NULL, kind VARCHAR NOT NULL, text VARCHAR NOT NULL, attachment VARCHAR,
    created BIGINT NOT NULL, attempts INTEGER NOT NULL, next_try BIGINT, sent_at BIGINT, error VARCHAR,
    PRIMARY KEY (id), UNIQUE (key)
);
CREATE INDEX ix_outbox_next_try ON outbox (next_try);
CREATE TABLE flags (name VARCHAR NOT NULL, value VARCHAR NOT NULL, time BIGINT NOT NULL, PRIMARY KEY (name));
"""

_TRADE = np.dtype(
    [("entry_time", "i8"), ("exit_time", "i8"), ("side", "i1"), ("reason", "i1")]
    + [(name, "f8") for name in (
        "volume", "entry_price", "exit_price", "sl", "tp", "profit", "commission", "swap", "balance", "risk",
        "spread_cost", "slippage_cost")]
)  # fmt: skip

_CANDIDATE = np.dtype(
    [("bar", "i8"), ("side", "i1"), ("votes", "i1"), ("session", "i1"), ("market_open", "i1")]
    + [(name, "f8") for name in (
        "confidence", "gap", "atr", "sl_mult", "tp_mult", "ema_distance", "adx", "news_minutes")]
)  # fmt: skip
SAMPLE_CANDIDATE = np.array([(7, 1, 3, 2, 1, 0.1 + 0.2, 0.3, 100.0, 1.5, -0.0, 2.5, np.nan, np.inf)], dtype=_CANDIDATE)
"""With floats that only their own digits give back, and those that JSON has no number for."""
SAMPLE_TEXT = (
    '{"bar":7,"side":1,"votes":3,"session":2,"market_open":1,"confidence":0.30000000000000004,"gap":0.3,"atr":100.0,'
    '"sl_mult":1.5,"tp_mult":-0.0,"ema_distance":2.5,"adx":"NaN","news_minutes":"Infinity"}'
)
"""The same as version 4 stores it."""
_GATES = (
    *("market_closed", "model_agreement", "session_conf", "probability_gap", "atr_floor", "spread", "news_block"),
    *("ema_trend", "adx_regime", "circuit_breaker", "daily_loss", "equity_curve", "weekly_drawdown", "hard_halt"),
    *("frozen", "stops_level", "volume", "margin"),
)
"""Bit k of a mask in versions 1 to 3."""

DEPOSIT = 250.0
"""Booked between the second and the third trade of `sample_rows`: a difference of balances would count it."""


def write_version_1(connection: Connection, rows: Rows) -> None:
    """Create the tables of version 1 in an empty database and fill them."""
    served = connection.dialect.name == "postgresql"
    kinds = {"float": "FLOAT", "blob": "BYTEA" if served else "BLOB"}
    kinds |= {"serial": "SERIAL" if served else "INTEGER", "bigserial": "BIGSERIAL" if served else "BIGINT"}
    for statement in _VERSION_1.format(**kinds).split(";"):
        if statement.strip():
            connection.execute(text(statement))
    for table, contents in rows.items():
        for row in contents:
            names = ", ".join(f'"{name}"' for name in row)
            slots = ", ".join(f":{name}" for name in row)
            connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({slots})"), dict(row))


def write_version_2(connection: Connection, rows: Rows) -> None:
    """Create the tables of version 2 in an empty database and fill them with rows of version 1 whose guard is full."""
    write_version_1(connection, rows)
    served = connection.dialect.name == "postgresql"
    kinds = {"float": "DOUBLE PRECISION", "serial": "SERIAL"} if served else {"float": "FLOAT", "serial": "INTEGER"}
    for statement in _TO_VERSION_2.format(**kinds).split(";"):
        if statement.strip():
            connection.execute(text(statement))


def write_version_3(connection: Connection, rows: Rows) -> None:
    """Create the tables of version 3 in an empty database and fill them, as its own migration left them."""
    write_version_2(connection, rows)
    second_to_third(connection)
    connection.execute(text("UPDATE schema_version SET version = 3"))


def sample_trades(count: int) -> np.ndarray:
    """Return `count` closed trades in order, whose results are cents that floats cannot hold."""
    trades = np.zeros(count, dtype=_TRADE)
    numbers = np.arange(count)
    trades["exit_time"] = 1_704_284_100 + 900 * numbers
    trades["profit"] = np.round(10.1 * np.where(numbers % 3 == 1, -1.0, 1.0) * (1 + numbers % 7), 2)
    trades["commission"], trades["swap"] = -0.3, np.where(numbers % 4 == 0, -0.07, 0.0)
    return trades


def sample_rows(trades: int, *, results: bool) -> Rows:
    """Return a journal of version 1 with some closed trades.

    Parameters
    ----------
    trades : int
    results : bool
        Whether its guard knows `results` already.
    """
    closed = sample_trades(trades)
    guard = np.zeros(1, dtype=SECOND_GUARD if results else FIRST_GUARD)[0]
    guard["time"], guard["equity"], guard["losses"], guard["halted"], guard["closed"] = (
        1_704_290_000,
        480.5,
        2,
        1,
        trades,
    )
    balance = 500.0
    for number, trade in enumerate(closed):
        balance += trade["profit"] + trade["commission"] + trade["swap"] + (DEPOSIT if number == 2 else 0.0)
        guard["balances"][number % _RING] = trade["balance"] = round(balance, 2)
        if results:
            guard["results"][number % _RING] = 1_000.0 + number
    status = {
        "id": 1,
        "schema_version": 1,
        "identity": "me",
        "last_bar": 1_704_290_000,
        "bars_processed": 7,
        "bars_missed": 1,
        "last_deal": 2 * trades,
        "cash": 480.5,
        "guard": guard.tobytes(),
        "models": "rf=rf.pkl",
        "finished": 0,
    }
    decision = {
        "bar": 1_704_290_000,
        "action": "entry",
        "side": 1,
        "votes": 3,
        "confidence": 0.7,
        "gap": 0.3,
        "gates": 1 << 2 | 1 << 13 | 1 << 17,
        "price": 50_000.0,
        "spread": 10.0,
        "atr": 100.0,
        "candidate": SAMPLE_CANDIDATE.tobytes(),
        "equity": 480.5,
    }
    intent = {
        "id": "e1",
        "bar": 1_704_290_000,
        "kind": "entry",
        "side": 1,
        "volume": 0.05,
        "sl": 49_900.0,
        "tp": 50_100.0,
        "position": 0,
        "reason": 0,
        "state": "new",
        "retcode": None,
        "order": None,
    }
    deal = {
        "ticket": 3,
        "position": 2,
        "time": 1_704_284_100,
        "entry": 0,
        "reason": 3,
        "volume": 0.05,
        "price": 50_010.0,
        "commission": -0.1,
        "swap": 0.0,
        "profit": 0.0,
        "magic": 1,
        "comment": "e0",
    }
    # In the table they stand in no order: rows may have been inserted by several bars at once.
    shuffled = [
        {"deal": 2 * number + 1, "position": 2 * number, "trade": trade.tobytes(), "exit_time": int(trade["exit_time"])}
        for number, trade in reversed(list(enumerate(closed)))
    ]
    return {
        "bot_status": [status],
        "decisions": [decision],
        "intents": [intent],
        "position_events": [deal],
        "trades": shuffled,
    }


def as_version_3(intent: Mapping[str, Any]) -> dict[str, Any]:
    """Return an intent's row with the return code that stood for its outcome up to version 3."""
    row = dict(intent)
    word, code = row.pop("outcome"), row.pop("broker_code")
    own = {"market closed": 10018, "filled": 10009, None: None}
    return {**row, "retcode": int(code) if code else own[word]}


def rows_as_version_1(journal: Path, *, results: bool) -> Rows:
    """Return what version 1 would have written where a SQLite journal of this version stands."""

    with closing(sqlite3.connect(journal)) as connection:
        connection.row_factory = sqlite3.Row

        def rows_of(table: str, columns: str = "*") -> list[dict[str, Any]]:
            rows = (dict(row) for row in connection.execute(f"SELECT {columns} FROM {table}"))
            # Only from version 4 on a row says whose it is.
            return [{name: value for name, value in row.items() if name != "symbol"} for row in rows]

        known = "identity, last_bar, bars_processed, bars_missed, last_deal, cash, guard, models, finished"
        (status,) = rows_of("bot_status", known)
        status |= {"id": 1, "schema_version": 1}
        status["guard"] = _as_bytes(status["guard"], SECOND_GUARD if results else FIRST_GUARD)
        decisions = [
            {
                **{name: value for name, value in row.items() if name != "multiplier"},
                "gates": _as_mask(row["gates"]),
                "candidate": None if row["candidate"] is None else _as_bytes(row["candidate"], _CANDIDATE),
            }
            for row in rows_of("decisions")
        ]
        trades = [
            {**row, "trade": _as_bytes(row["trade"], _TRADE)}
            for row in rows_of("trades", "deal, position, trade, exit_time")
        ]
        return {
            "bot_status": [status],
            "decisions": decisions,
            "intents": [as_version_3(row) for row in rows_of("intents")],
            "position_events": rows_of("deals"),
            "trades": trades,
        }


def _as_bytes(stored: str, layout: np.dtype[Any]) -> bytes:
    """Return a record that version 4 stores by name as older versions stored it; what they did not know is left out."""
    content, record = json.loads(stored), np.zeros(1, dtype=layout)
    for name in layout.names or ():
        record[0][name] = content[name]
    return record.tobytes()


def _as_mask(names: str | None) -> int | None:
    """Return the bits that stood for the gates until version 3."""
    return None if names is None else sum(1 << _GATES.index(name) for name in names.split())
