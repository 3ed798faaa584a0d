"""Records as older journals hold them: frozen copies, for the migrations alone.

A record in `engine.records` that a journal stores cannot change without a new version
of the journal: its bytes carry no names. `tests/trading/journal/test_migrations.py` holds the newest
layouts here against the program's.
"""

from __future__ import annotations

import numpy as np

GUARD_RING = 32

_GUARD_FIELDS: list[tuple[str, str] | tuple[str, str, tuple[int]]] = [
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
    ("balances", "f8", (GUARD_RING,)),
]

GUARD_1 = np.dtype(_GUARD_FIELDS)
"""Of a journal of version 1 before the risk model came."""
GUARD_2 = np.dtype([*_GUARD_FIELDS, ("results", "f8", (GUARD_RING,))])
"""Of a journal of version 1 after that, and of version 2."""
GUARD_3 = np.dtype([*_GUARD_FIELDS, ("results", "f8", (GUARD_RING,)), ("halt_moved", "f8")])
"""Of a journal of version 3, which tells money paid in or out from results."""

TRADE_1 = np.dtype(
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
        ("spread_cost", "f8"),
        ("slippage_cost", "f8"),
    ]
)

CANDIDATE_1 = np.dtype(
    [
        ("bar", "i8"),
        ("side", "i1"),
        ("votes", "i1"),
        ("session", "i1"),
        ("market_open", "i1"),
        ("confidence", "f8"),
        ("gap", "f8"),
        ("atr", "f8"),
        ("sl_mult", "f8"),
        ("tp_mult", "f8"),
        ("ema_distance", "f8"),
        ("adx", "f8"),
        ("news_minutes", "f8"),
    ]
)
