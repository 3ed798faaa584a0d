"""Plain columns beside the records: what SQL and a database browser can read without this program.

A trade and the breakers are stored as the engine's own records, one JSON object each. The columns
here are written in the same statement as the record they repeat, and never read back.
"""

from __future__ import annotations

from typing import Any

from engine.fills import EXIT_NAMES
from engine.records import Guard, Trade, from_text, values_of

TRADE_NUMBERS = (
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
)
"""Fields of a trade: lots, prices, USD."""
GUARD_MONEY = ("equity", "peak_equity", "day_equity", "week_peak", "halt_balance")
GUARD_COUNTS = (
    "day_losses",
    "losses",
    "wins",
    "day_blocked",
    "week_blocked",
    "halted",
    "paused_until",
    "closed",
)


def trade_columns(content: str) -> dict[str, Any]:
    """Return the plain columns of a row of `trades`, from its record."""
    trade = values_of(from_text(Trade, content))
    return {
        "entry_time": trade["entry_time"],
        "side": trade["side"],
        **{name: trade[name] for name in TRADE_NUMBERS},
        "exit_reason": EXIT_NAMES[trade["reason"]],
        # Cents are summed in binary: without rounding a break-even trade shows a result.
        "net": round(trade["profit"] + trade["commission"] + trade["swap"], 8) + 0.0,
    }


def status_columns(guard: Guard) -> dict[str, Any]:
    """Return the plain columns of `bot_status`, from the breakers."""
    values = values_of(guard)
    return {name: values[name] for name in (*GUARD_MONEY, *GUARD_COUNTS)}
