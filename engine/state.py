"""What survives from bar to bar: the account as the broker holds it, and what the breakers remember."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt

from engine.layouts import F8, I1, I8

RING = 32
"""How many closing balances the guard remembers."""


class Account:
    """What the broker holds: cash, at most one position, at most one order on its way."""

    time: I8
    """Open of the newest bar that has begun."""
    balance: F8
    """Booked money; an open position's swap and profit are not in it."""
    side: I1
    """1 long, -1 short, 0 flat."""
    volume: F8
    entry_time: I8
    entry_price: F8
    sl: F8
    tp: F8
    swap: F8
    """Accumulated on the open position, booked when it closes."""
    commission: F8
    """Booked at entry for the open position (negative or zero)."""
    margin: F8
    spread_paid: F8
    """Cost attribution of the open position in USD, not booked separately."""
    slippage_paid: F8
    pending_side: I1
    """An entry waiting for the next open: its side, or 0."""
    pending_exit: I1
    """An exit waiting for the next open: its reason, or 0."""
    pending_time: I8
    """When the waiting order was decided."""
    pending_volume: F8
    pending_sl: F8
    pending_tp: F8
    closed: I8
    """Positions closed so far."""
    last_net: F8
    """Net result of the newest closed position, all costs included."""


class Guard:
    """What the breakers remember; the bot stores it after every bar."""

    time: I8
    """Close of the newest bar that was judged."""
    equity: F8
    """Floating equity at that close."""
    peak_equity: F8
    next_day: I8
    next_week: I8
    day_equity: F8
    """Equity when the UTC day began."""
    day_losses: I8
    """Losses in a row since the UTC day began."""
    day_blocked: I1
    """1 once the day's loss reached its limit."""
    week_peak: F8
    week_blocked: I1
    losses: I8
    """Losses in a row, whatever the day."""
    wins: I8
    halted: I1
    halt_balance: F8
    """The starting balance the halt was measured from; another one lifts the halt."""
    paused_until: I8
    closed: I8
    """Closed positions already counted."""
    balances: Annotated[npt.NDArray[np.float64], "f8", RING]
    """Balance after each of the last closed positions, at index (count - 1) % RING."""
    results: Annotated[npt.NDArray[np.float64], "f8", RING]
    """Net result of each of the same, all costs included; deposits are in balances, not here."""
    halt_moved: F8 = 0.0
    """USD by which money paid in or out has moved the base of the hard halt away from the starting balance."""
