"""The flat records the engine works on, declared once as annotated classes.

Times are UTC epoch seconds, prices and money USD, volumes lots, distances USD unless a field says
ATR multiples. Flags are 0 or 1. What a gate reads of a candidate and of the settings is declared
beside the gate (`engine.gates`) and inherited here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.gates.reading import GateInputs, GateLimits
from engine.gates.signal import SESSIONS
from engine.layouts import (
    F8,
    I1,
    I8,
    U4,
    dtype_of,
    from_bytes,
    from_text,
    new_record,
    new_records,
    to_bytes,
    to_text,
    values_of,
)
from engine.state import RING, Account, Guard

__all__ = [
    "FOREVER",
    "RING",
    "SESSIONS",
    "Account",
    "Bar",
    "Bars",
    "Block",
    "Candidate",
    "Close",
    "Guard",
    "Minutes",
    "Params",
    "Rollovers",
    "Run",
    "Trade",
    "Window",
    "dtype_of",
    "from_bytes",
    "from_text",
    "new_record",
    "new_records",
    "no_minutes",
    "no_rollovers",
    "to_bytes",
    "to_text",
    "values_of",
]

FOREVER = 2**62
"""Seconds; stands for "never" in validity limits."""


class Params(GateLimits):
    """Everything configurable about the rules; built from settings outside the engine."""

    bar_seconds: I8
    """Length of a bar."""
    lot_units: F8
    """Underlying units per lot: USD earned per lot by a move of 1 USD."""
    price_scale: F8
    """Prices of stops and targets are rounded to 1/price_scale; 0 leaves them unrounded."""
    money_scale: F8
    """Booked sums are rounded to 1/money_scale USD, the smallest unit of the account's currency; 0 leaves them."""
    volume_scale: F8
    """Volumes are multiples of 1/volume_scale."""
    volume_min: F8
    volume_max: F8
    stops_distance: F8
    """Least USD between the quote and a stop or target; minus infinity checks nothing."""
    entry_valid_seconds: I8
    """An order not filled this long after its decision is dropped (the market had closed)."""
    commission_per_lot: F8
    """USD per lot and side."""
    maker_fee: F8
    """Share of a fill's value that a resting order pays; negative is a rebate."""
    taker_fee: F8
    """Share of a fill's value that all other orders pay."""
    min_fee: F8
    """USD that a fill pays at least; 0 sets no least fee."""
    slippage: F8
    """USD by which market and stop fills are worse than the quote."""
    swap_long: F8
    """USD per lot and night, negative is paid."""
    swap_short: F8
    funding_rate: F8
    """Share of the position's value that a long pays, and a short gets, at each funding moment."""
    leverage: F8
    """Value of a position over its margin: the account's leverage over the symbol's margin rate."""
    stop_out_level: F8
    """Equity over margin at which the broker closes the position; 0 never."""
    fixed_volume: F8
    """Lots of every trade, or 0 to size by risk."""
    risk_fraction: F8
    """Share of equity risked by a trade before multipliers."""
    max_risk_fraction: F8
    """Share of equity that the loss at the stop never exceeds."""
    half_kelly: I1
    position_model: I1
    """1 hands an open position to the position model at every close."""
    position_horizon: F8
    """Bars the trades lasted at most from which the position model learned."""
    exit_threshold: F8
    """Least probability of EXIT at which the position model is followed."""
    exit_min_gap: F8
    """Least lead of EXIT over HOLD."""
    min_bars_held: I8
    """Bars a position is held before the position model is followed."""
    add_threshold: F8
    """Least probability at which ADD is logged."""
    risk_model: I1
    """1 asks the risk model for a multiplier once a candidate has passed the gates."""


class Candidate(GateInputs):
    """A bar at whose close the signal model names a side, with all the gates need to know."""

    bar: I8
    """Index of the bar in the frame."""
    sl_mult: F8
    """ATR multiples."""
    tp_mult: F8


class Trade:
    """A closed position, as written to the trades file, with its cost attribution."""

    entry_time: I8
    exit_time: I8
    side: I1
    reason: I1
    volume: F8
    entry_price: F8
    exit_price: F8
    sl: F8
    tp: F8
    profit: F8
    """Price result before commission and swap."""
    commission: F8
    swap: F8
    balance: F8
    """After booking."""
    risk: F8
    """USD between entry and stop."""
    spread_cost: F8
    """USD of the price result that the spread took."""
    slippage_cost: F8


class Block:
    """A candidate that was not traded."""

    candidate: I8
    """Row in the candidates."""
    gates: U4
    """Bit mask of the failing gates, see `gates.GATE_NAMES`."""


class Run:
    """Where the loop stands; lets it hand control back in the middle of a bar."""

    bar: I8
    phase: I1
    candidate: I8
    rollover: I8
    blocks: I8
    pending_candidate: I8
    ask_from: I8
    """First bar at whose close the position model is asked about the open position again."""
    bars_in_market: I8
    peak: F8
    """Highest equity at a close."""
    max_drawdown: F8
    """Largest fall from `peak`, floating, at the worst price of each bar, as a share."""


class Bars(NamedTuple):
    """Columns of the bars, each of shape (n,); time in epoch seconds, spread in USD."""

    time: npt.NDArray[np.int64]
    open: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    close: npt.NDArray[np.float64]
    spread: npt.NDArray[np.float64]


class Bar(NamedTuple):
    """One bar: its open time in UTC epoch seconds, its bids and its spread in USD."""

    time: int
    open: float
    high: float
    low: float
    close: float
    spread: float


class Close(NamedTuple):
    """A bar's close as a decision sees it: the quote, the candidate that is due, what a person or a broker did.

    Attributes
    ----------
    bar : int
        Index of the bar, in which `engine.bar.hold_until` counts; 0 for who never answers with it.
    time : int
        The close, UTC epoch seconds.
    bid, spread : float
        The quote, USD.
    quoted : int
        When that quote was made, UTC epoch seconds; in history the close itself.
    candidate : int
        Row of the candidate of this close, -1 when there is none.
    frozen : int
        1 while a person lets no entry be made.
    exposed : int
        1 when the open position has lost its stop or target and could not be given it back.
    """

    bar: int
    time: int
    bid: float
    spread: float
    quoted: int
    candidate: int
    frozen: int
    exposed: int


class Minutes(NamedTuple):
    """One-minute bars inside the bars; all empty when there are none.

    `begin` has shape (n + 1,): bar i owns the minutes begin[i] to begin[i + 1] - 1.
    """

    begin: npt.NDArray[np.int64]
    high: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]


class Rollovers(NamedTuple):
    """Server midnights or funding moments in UTC epoch seconds, ascending, and how often each is charged."""

    time: npt.NDArray[np.int64]
    nights: npt.NDArray[np.float64]


class Window(NamedTuple):
    """What a run over history reads besides its candidates, and where it writes what came of it.

    Attributes
    ----------
    bars : Bars
        Columns of shape (n,).
    minutes, rollovers
        May be empty.
    trades : ndarray of Trade
        Room for one more than there are candidates; `Account.closed` of them are filled.
    blocks : ndarray of Block
        Room for one per candidate; `Run.blocks` of them are filled.
    equity : ndarray of float, shape (n,) or (0,)
        Filled with the floating equity at each close when it has room.
    """

    bars: Bars
    minutes: Minutes
    rollovers: Rollovers
    trades: npt.NDArray[Any]
    blocks: npt.NDArray[Any]
    equity: npt.NDArray[Any]


def no_minutes() -> Minutes:
    """Return the empty `Minutes`: both legs in one bar count as a stop."""
    return Minutes(np.empty(0, np.int64), np.empty(0), np.empty(0))


def no_rollovers() -> Rollovers:
    """Return the empty `Rollovers`: no swap is ever charged."""
    return Rollovers(np.empty(0, np.int64), np.empty(0))
