"""Version 4: gates are stored by name, and records as JSON objects by field name.

Until version 3 a decision held a bit mask, whose bits moved when a gate was added, and records
were bytes without names, so that a new field was a new version of the journal.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from sqlalchemy import Connection, text

from novosky.errors import StorageError
from trading.journal.versions.old_records import CANDIDATE_1, GUARD_3, TRADE_1
from trading.journal.versions.third_readable import VIEWS, create_views, queries

GATES_3 = (
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
)
"""Bit k of a mask in versions 1 to 3; frozen, whatever gates the program has today."""


def name_records(connection: Connection) -> None:
    """Put names in the place of bits and bytes.

    Raises
    ------
    StorageError
        A record has another length than version 3 wrote; nothing is changed then.
    """
    for view in VIEWS:
        # Neither database drops a column that a view shows.
        connection.execute(text(f"DROP VIEW IF EXISTS {view}"))
    _replace(connection, "decisions", "bar", "gates", "VARCHAR", _gate_text)
    _replace(connection, "decisions", "bar", "candidate", "VARCHAR", lambda stored: record_text(CANDIDATE_1, stored))
    required = "VARCHAR DEFAULT '' NOT NULL"
    _replace(connection, "bot_status", "id", "guard", required, lambda stored: record_text(GUARD_3, stored))
    _replace(connection, "trades", "deal", "trade", required, lambda stored: record_text(TRADE_1, stored))
    create_named_views(connection)


def create_named_views(connection: Connection) -> None:
    """Create the views of version 4, in place of earlier ones."""
    named = queries(connection.dialect.name, failing_gates="coalesce(gates, '')")
    create_views(connection, named)


def record_text(layout: np.dtype[Any], stored: bytes) -> str:
    """Return a record of an older version as version 4 writes it.

    Raises
    ------
    StorageError
        The bytes are no record of this layout.
    """
    if len(stored) != layout.itemsize:
        raise StorageError(
            f"the journal holds a record of {len(stored)} bytes where its version has {layout.itemsize}; "
            "use the release that wrote it, put back a copy, or begin a new journal"
        )
    values = np.frombuffer(stored, dtype=layout)[0].item()
    named = zip(layout.names or (), values, strict=True)
    return json.dumps({name: _spelt(value) for name, value in named}, separators=(",", ":"))


def _spelt(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_spelt(each) for each in value.tolist()]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0.0 else "-Infinity"
    return value


def _gate_text(mask: int) -> str:
    return " ".join(name for bit, name in enumerate(GATES_3) if mask >> bit & 1)


def _replace(
    connection: Connection, table: str, key: str, column: str, kind: str, convert: Callable[[Any], str]
) -> None:
    """Give a column another type, its content converted; NULL stays NULL."""
    connection.execute(text(f"ALTER TABLE {table} ADD COLUMN {column}_named {kind}"))
    rows = connection.execute(text(f"SELECT {key}, {column} FROM {table} WHERE {column} IS NOT NULL")).all()
    changed = [{"key": row_key, "value": convert(stored)} for row_key, stored in rows]
    if changed:
        connection.execute(text(f"UPDATE {table} SET {column}_named = :value WHERE {key} = :key"), changed)
    connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {column}"))
    connection.execute(text(f"ALTER TABLE {table} RENAME COLUMN {column}_named TO {column}"))
