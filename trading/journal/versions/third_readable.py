"""Version 3: plain columns beside the records, and views for people with an SQL browser.

| view | one row for each |
|---|---|
| `trades_readable` | closed trade: times as UTC text, side and reason in words, net result and R |
| `decisions_readable` | bar: what was decided, and the failing gates by name |
| `status_readable` | bot: money, limits that are reached, newest bar |
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from sqlalchemy import Connection, text

_TRADE = np.dtype(
    [
        ("entry_time", "i8"),
        ("exit_time", "i8"),
        ("side", "i1"),
        ("reason", "i1"),
        ("volume", "f8"),
        ("entry_price", "f8"),
        ("exit_price", "f8"),
        ("sl", "f8"),
        ("tp", "f8"),
        ("profit", "f8"),
        ("commission", "f8"),
        ("swap", "f8"),
        ("balance", "f8"),
        ("risk", "f8"),
    ]
)
"""How a trade's record of version 2 begins; what follows is not shown."""
_GUARD = np.dtype(
    [
        ("time", "i8"),
        ("equity", "f8"),
        ("peak_equity", "f8"),
        ("next_day", "i8"),
        ("next_week", "i8"),
        ("day_equity", "f8"),
        ("day_losses", "i8"),
        ("day_blocked", "i1"),
        ("week_peak", "f8"),
        ("week_blocked", "i1"),
        ("losses", "i8"),
        ("wins", "i8"),
        ("halted", "i1"),
        ("halt_balance", "f8"),
        ("paused_until", "i8"),
        ("closed", "i8"),
    ]
)
"""How the breakers' record of version 2 begins."""
_REASONS = ("", "sl", "tp", "so", "model", "halt", "manual")
_GATES = [
    "market_closed",
    "model_agreement",
    "session_conf",
    "probability_gap",
    "atr_floor",
    "spread",
    "news_block",
    "ema_trend",
    "adx_regime",
    "circuit_breaker",
    "daily_loss",
    "equity_curve",
    "weekly_drawdown",
    "hard_halt",
    "frozen",
    "stops_level",
    "volume",
    "margin",
]
_INTEGERS = frozenset(
    [
        "entry_time",
        "side",
        "day_losses",
        "losses",
        "wins",
        "day_blocked",
        "week_blocked",
        "halted",
        "paused_until",
        "closed",
    ]
)
_TRADE_COLUMNS = [
    "entry_time",
    "side",
    "volume",
    "entry_price",
    "exit_price",
    "sl",
    "tp",
    "profit",
    "commission",
    "swap",
    "balance",
    "risk",
    "exit_reason",
    "net",
]
_STATUS_COLUMNS = [
    "equity",
    "peak_equity",
    "day_equity",
    "week_peak",
    "halt_balance",
    "day_losses",
    "losses",
    "wins",
    "day_blocked",
    "week_blocked",
    "halted",
    "paused_until",
    "closed",
]


def add_readable(connection: Connection) -> None:
    """Add the columns, fill them from the records that are there, and create the views."""
    _add_columns(connection, "trades", _TRADE_COLUMNS)
    _add_columns(connection, "bot_status", _STATUS_COLUMNS)
    for key, stored in connection.execute(text("SELECT deal, trade FROM trades")).all():
        trade = np.frombuffer(stored[: _TRADE.itemsize], dtype=_TRADE)[0]
        values = {name: trade[name].item() for name in _TRADE_COLUMNS if name in (_TRADE.names or ())}
        values["exit_reason"] = _REASONS[int(trade["reason"])]
        values["net"] = round(float(trade["profit"] + trade["commission"] + trade["swap"]), 8) + 0.0
        _fill(connection, "trades", "deal", key, values)
    for key, stored in connection.execute(text("SELECT id, guard FROM bot_status")).all():
        guard = np.frombuffer(stored[: _GUARD.itemsize], dtype=_GUARD)[0]
        _fill(connection, "bot_status", "id", key, {name: guard[name].item() for name in _STATUS_COLUMNS})
    create_views(connection)


def _add_columns(connection: Connection, table: str, columns: list[str]) -> None:
    number = "FLOAT" if connection.dialect.name == "sqlite" else "DOUBLE PRECISION"
    for name in columns:
        kind = "BIGINT" if name in _INTEGERS else "VARCHAR" if name == "exit_reason" else number
        connection.execute(text(f"ALTER TABLE {table} ADD COLUMN {name} {kind}"))


def _fill(connection: Connection, table: str, key: str, value: int, columns: dict[str, float | int | str]) -> None:
    assigned = ", ".join(f"{name} = :{name}" for name in columns)
    connection.execute(text(f"UPDATE {table} SET {assigned} WHERE {key} = :_key"), {**columns, "_key": value})


def create_views(connection: Connection, named: Mapping[str, str] | None = None) -> None:
    """Create the views of version 3, or those of a later one, in place of earlier ones.

    On a PostgreSQL before 15 a view would show to others what row level security hides from
    them, and there is none.
    """
    guarded = ""
    if connection.dialect.name == "postgresql":
        version = int(str(connection.execute(text("SHOW server_version_num")).scalar()))
        if version < _SECURITY_INVOKER:
            return
        guarded = " WITH (security_invoker = true)"
    for name, query in (named or queries(connection.dialect.name)).items():
        connection.execute(text(f"DROP VIEW IF EXISTS {name}"))
        connection.execute(text(f"CREATE VIEW {name}{guarded} AS {query}"))


_SECURITY_INVOKER = 150_000
VIEWS = ("trades_readable", "decisions_readable", "status_readable")


def queries(dialect: str, failing_gates: str | None = None) -> dict[str, str]:
    """Return the query of each view; `failing_gates` is the expression of a version that stores names."""

    def utc(column: str) -> str:
        # Without a colon before a letter: SQLAlchemy would take it for a parameter.
        if dialect == "sqlite":
            return f"strftime('%Y-%m-%dT%H\\:%M\\:%SZ', {column}, 'unixepoch')"
        return f"to_char(to_timestamp({column}) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24\\:MI\\:SS\"Z\"')"

    side = "CASE side WHEN 1 THEN 'buy' WHEN -1 THEN 'sell' END"
    gates = " || ".join(
        f"CASE WHEN (coalesce(gates, 0) & {1 << bit}) <> 0 THEN '{name} ' ELSE '' END"
        for bit, name in enumerate(_GATES)
    )
    limits = " || ".join(
        f"CASE WHEN {column} <> 0 THEN '{name} ' ELSE '' END"
        for column, name in (
            ("day_blocked", "daily_loss"),
            ("week_blocked", "weekly_drawdown"),
            ("halted", "hard_halt"),
        )
    )
    columns = "volume, entry_price, sl, tp"
    return {
        "trades_readable": f"SELECT deal, position, {utc('entry_time')} AS entry_time, {side} AS side, {columns}, "
        f"{utc('exit_time')} AS exit_time, exit_price, exit_reason, profit, commission, swap, net, balance, "
        "CASE WHEN risk > 0 THEN net / risk END AS r_multiple FROM trades",
        "decisions_readable": f"SELECT {utc('bar')} AS bar, action, {side} AS side, votes, confidence, gap, "
        f"{failing_gates or f'trim({gates})'} AS failing_gates, price, spread, atr, equity, multiplier FROM decisions",
        "status_readable": f"SELECT identity, {utc('last_bar')} AS last_bar, bars_processed, bars_missed, "
        "cash AS balance, equity, equity - day_equity AS day_result, day_equity, week_peak, peak_equity, "
        f"halt_balance, losses AS losses_in_a_row, day_losses, trim({limits}) AS limits_reached, "
        f"CASE WHEN paused_until > 0 THEN {utc('paused_until')} END AS paused_until, "
        "closed AS trades_closed, models FROM bot_status",
    }
