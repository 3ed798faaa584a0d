"""What a hand-made case is: a few bars, a signal, and the trades an honest broker would book.

Unless a case says otherwise the contract
is one unit per lot, quoted to the cent, the spread is 10.00 USD, one lot is traded, and the
signal comes at the close of bar 0 at 50,000.00 with an ATR of 100.00 and both legs one ATR
away. A long is then decided at the ask of 50,010.00 with stop 49,910.00 and target
50,110.00, a short at the bid of 50,000.00 with stop 50,100.00 and target 49,900.00.

Bars sit in slots of 15 minutes from `START`; a slot left out is a closed market.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.bar import ASK_POSITION
from engine.records import Minutes, Params, Rollovers
from tests.engine.market import BAR, WEDNESDAY, Answer, Market, bars_from, candidate_rows, neutral_params

START = WEDNESDAY + 12 * 3600
"""Open of slot 0, UTC epoch seconds."""

Row = tuple[float, float, float, float]
"""Open, high, low, close; bid prices in USD."""
QUIET: Row = (50_000.0, 50_010.0, 49_990.0, 50_000.0)
"""A bar that reaches no level of the default long or short."""
TO_TARGET: Row = (50_000.0, 50_120.0, 49_995.0, 50_100.0)
"""Takes the default long to its target."""
TO_SHORT_TARGET: Row = (50_000.0, 50_005.0, 49_885.0, 49_890.0)
"""Takes the default short to its target."""
Setting = tuple[str, float]


@dataclass(frozen=True)
class Signal:
    """A candidate at the close of a bar.

    Attributes
    ----------
    bar : int
        Row in the case's bars.
    side : int
        1 long, -1 short.
    atr : float
        USD.
    sl_mult, tp_mult : float
        ATR multiples.
    market_open : bool
    """

    bar: int = 0
    side: int = 1
    atr: float = 100.0
    sl_mult: float = 1.0
    tp_mult: float = 1.0
    market_open: bool = True


@dataclass(frozen=True)
class Seen:
    """What only a live close has; a bar without one is seen as history sees it.

    Attributes
    ----------
    bar : int
        Row in the case's bars.
    late : int
        Seconds after the close at which the quote was made that is decided on.
    frozen : bool
        A person lets no entry be made.
    exposed : bool
        Somebody took the open position's stop, and the broker does not take it back.
    """

    bar: int
    late: int = 0
    frozen: bool = False
    exposed: bool = False


LONG = Signal(side=1)
SHORT = Signal(side=-1)


@dataclass(frozen=True)
class Booked:
    """A closed position; bars are rows of the case, prices and money USD."""

    entry_bar: int
    exit_bar: int
    side: int
    entry_price: float
    exit_price: float
    reason: str
    profit: float
    commission: float = 0.0
    swap: float = 0.0


@dataclass(frozen=True)
class BarCase:
    """One situation and its outcome.

    Attributes
    ----------
    id : str
    why : str
        The market's reason for the outcome.
    signals : tuple of Signal
    bars : tuple of Row
    trades : tuple of Booked
    blocks : tuple of (int, tuple of str)
        Row in `signals` and the names of the failing gates, in the order they were noted.
    slots : tuple of int
        Slot of each bar; empty means one after the other.
    spread : float
        USD.
    balance : float
        USD at the start.
    settings : tuple of (str, float)
        Fields of `Params` that differ from the defaults of `case_params`.
    minutes : tuple of (int, tuple of (float, float))
        Bar and the (high, low) of its minutes; empty means that no minutes are known.
    nights : tuple of (int, float)
        Slot that a server midnight precedes and how many nights it counts.
    exits : tuple of int
        Bars at whose close the position model says leave.
    seen : tuple of Seen
        Closes that a live bot sees otherwise than history does, ascending in `bar`.
    left_open : int
        Side of the position at the end.
    """

    id: str
    why: str
    signals: tuple[Signal, ...]
    bars: tuple[Row, ...]
    trades: tuple[Booked, ...] = ()
    blocks: tuple[tuple[int, tuple[str, ...]], ...] = ()
    slots: tuple[int, ...] = ()
    spread: float = 10.0
    balance: float = 10_000.0
    settings: tuple[Setting, ...] = ()
    minutes: tuple[tuple[int, tuple[tuple[float, float], ...]], ...] = ()
    nights: tuple[tuple[int, float], ...] = ()
    exits: tuple[int, ...] = ()
    seen: tuple[Seen, ...] = ()
    left_open: int = 0

    @property
    def times(self) -> list[int]:
        """Open of each bar, UTC epoch seconds."""
        return [START + BAR * slot for slot in self.slots or range(len(self.bars))]

    @property
    def final_balance(self) -> float:
        """Balance at the end, the entry commission of a position still open not included."""
        return self.balance + sum(trade.profit + trade.commission + trade.swap for trade in self.trades)


def case_params(case: BarCase) -> Params:
    """Return the parameters of a case."""
    defaults = {
        "price_scale": 100.0,
        "money_scale": 100.0,
        "volume_scale": 100.0,
        "volume_min": 0.01,
        "volume_max": 100.0,
        "stops_distance": 0.0,
        "entry_valid_seconds": 60,
        "leverage": 1000.0,
        "fixed_volume": 1.0,
        "starting_balance": case.balance,
        "position_model": int(bool(case.exits)),
        "position_horizon": 96.0,
    }
    return neutral_params(**{**defaults, **dict(case.settings)})


def case_market(case: BarCase) -> Market:
    """Return bars, candidates, minutes and server midnights of a case."""
    rows = candidate_rows(len(case.signals))
    for row, signal in zip(rows, case.signals, strict=True):
        for name in ("bar", "side", "atr", "sl_mult", "tp_mult", "market_open"):
            row[name] = getattr(signal, name)
    known = dict(case.minutes)
    lists = [known.get(bar, ()) for bar in range(len(case.bars))]
    begin = np.cumsum([0, *(len(minutes) for minutes in lists)], dtype=np.int64)
    flat = np.array([pair for minutes in lists for pair in minutes], np.float64).reshape(-1, 2)
    minutes = Minutes(begin if known else begin[:0], flat[:, 0].copy(), flat[:, 1].copy())
    moments = np.array([START + BAR * slot for slot, _ in case.nights], np.int64)
    rollovers = Rollovers(moments, np.array([count for _, count in case.nights], np.float64))
    return Market(bars_from(case.bars, case.times, case.spread), rows, minutes, rollovers)


def case_answers(case: BarCase) -> Answer:
    """Return the position model of a case: leave at the bars in `exits`."""

    def answer(question: int, bar: int) -> float:
        assert question == ASK_POSITION
        return float(bar in case.exits)

    return answer
