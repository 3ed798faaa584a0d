"""The flat records the engine works on, declared once as annotated classes.

Each class below is a layout, not a thing to instantiate: `new_record(Account)` returns a
numpy record with these attributes, zeroed, and `dtype_of(Account)` its dtype. Times are
UTC epoch seconds, prices and money USD, volumes lots, distances USD unless a field says
ATR multiples. Flags are 0 or 1.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable
from typing import Annotated, Any, NamedTuple, TypeVar, cast, get_type_hints

import numpy as np
import numpy.typing as npt

F8 = Annotated[float, "f8"]
I8 = Annotated[int, "i8"]
I1 = Annotated[int, "i1"]
U4 = Annotated[int, "u4"]

RING = 32
"""How many closing balances the guard remembers."""
SESSIONS = 8
"""Combinations of the London, New York and Asian session bits."""
FOREVER = 2**62
"""Seconds; stands for "never" in validity limits."""

R = TypeVar("R")


class Params:
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
    min_votes: I8
    confidence: Annotated[npt.NDArray[np.float64], "f8", SESSIONS]
    """Confidence threshold for each combination of sessions."""
    min_gap: F8
    min_atr: F8
    max_spread_atr: F8
    """Largest spread as a share of ATR."""
    news_minutes: F8
    """Entries are blocked while a high-impact event is nearer than this; negative never."""
    ema_trend: I1
    min_adx: F8
    """0 turns the gate off."""
    max_consecutive_losses: I8
    max_daily_loss: F8
    """Share of the day's opening equity."""
    max_weekly_drawdown: F8
    """Share of the week's highest equity."""
    max_total_drawdown: F8
    """Share of the starting balance."""
    starting_balance: F8
    equity_curve: I1
    equity_curve_trades: I8
    equity_curve_drawdown: F8
    """Share below the mean of the last balances."""
    equity_curve_pause: I8
    """Seconds."""
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
    halt_moved: F8
    """USD by which money paid in or out has moved the base of the hard halt away from the starting balance."""


class Candidate:
    """A bar at whose close the signal model names a side, with all the gates need to know."""

    bar: I8
    """Index of the bar in the frame."""
    side: I1
    votes: I1
    """Models whose own first choice is this side."""
    session: I1
    """Session bits: 1 London, 2 New York, 4 Asian."""
    market_open: I1
    confidence: F8
    gap: F8
    """Confidence minus the probability of the next class."""
    atr: F8
    sl_mult: F8
    """ATR multiples."""
    tp_mult: F8
    ema_distance: F8
    """Close minus EMA200, in ATR."""
    adx: F8
    news_minutes: F8
    """Minutes to the nearest high-impact event, infinity when none is near."""


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


def dtype_of(layout: type[Any]) -> np.dtype[Any]:
    """Return the numpy dtype of a layout class."""
    return _dtype_of(cast(Hashable, layout))


@functools.cache
def _dtype_of(layout: Hashable) -> np.dtype[Any]:
    fields: list[Any] = []
    for name, hint in get_type_hints(layout, include_extras=True).items():
        code, *shape = hint.__metadata__
        fields.append((name, code, *[(size,) for size in shape]))
    return np.dtype(fields)


def new_records(layout: type[Any], count: int) -> npt.NDArray[Any]:
    """Return `count` zeroed records as an array that also works uncompiled."""
    return np.zeros(count, dtype=dtype_of(layout)).view(np.recarray)


def new_record(layout: type[R]) -> R:
    """Return one zeroed record, typed as its layout."""
    return cast(R, new_records(layout, 1)[0])


def to_bytes(record: Any) -> bytes:
    """Return a record's bytes, for the journal."""
    return bytes(np.asarray(record).tobytes())


def from_bytes(layout: type[R], content: bytes) -> R:
    """Return the record stored by `to_bytes`.

    Raises
    ------
    ValueError
        The bytes belong to another version of the layout.
    """
    dtype = dtype_of(layout)
    if len(content) != dtype.itemsize:
        raise ValueError(f"{layout.__name__} takes {dtype.itemsize} bytes, found {len(content)}")
    return cast(R, np.frombuffer(content, dtype=dtype).copy().view(np.recarray)[0])


def no_minutes() -> Minutes:
    """Return the empty `Minutes`: both legs in one bar count as a stop."""
    return Minutes(np.empty(0, np.int64), np.empty(0), np.empty(0))


def no_rollovers() -> Rollovers:
    """Return the empty `Rollovers`: no swap is ever charged."""
    return Rollovers(np.empty(0, np.int64), np.empty(0))
