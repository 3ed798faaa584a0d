"""A symbol's market: known bars that come to pass one by one, and the quotes between them.

Time stands either at the open of a bar, with the open as its quote, or at a close, with the
close. The quote of a close falls on the very moment at which the next interval begins; a
terminal therefore shows a forming bar of one tick then.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from engine.fills import nights_until
from engine.records import Bars, Minutes, Params, Rollovers, no_minutes, no_rollovers
from novosky.market.trading_hours import open_at
from trading.brokers.simulated.markets.stamps import Stamps
from trading.brokers.simulated.markets.symbols import SymbolSpec

RATES_DTYPE = np.dtype(
    [
        ("time", "<i8"),
        ("open", "<f8"),
        ("high", "<f8"),
        ("low", "<f8"),
        ("close", "<f8"),
        ("tick_volume", "<u8"),
        ("spread", "<i4"),
        ("real_volume", "<u8"),
    ]
)
_BLOCK = np.dtype((np.void, RATES_DTYPE.itemsize))
Rates = npt.NDArray[np.void]
_DAY = 86_400
_FINEST = 8
"""Decimals of a volume that are kept."""


@dataclass(frozen=True)
class Quote:
    """Bid and ask at a moment in UTC epoch seconds."""

    time: int
    bid: float
    ask: float


def volume_scale(volumes: npt.NDArray[np.float64]) -> int:
    """Return the power of ten that makes volumes whole; a terminal counts ticks, never fractions."""
    for decimals in range(_FINEST):
        scale = int(10**decimals)
        if np.array_equal(np.rint(volumes * scale) / scale, volumes):
            return scale
    return int(10**_FINEST)


class Feed:
    """The market of one symbol.

    Parameters
    ----------
    spec : SymbolSpec
    bars : Bars
        Columns of shape (n,), times in UTC.
    params : Params
        Costs and contract for the engine.
    stamps : Stamps
        The server's clock.
    volume : ndarray of float, shape (n,), or None
        Ticks, or traded units; None counts one per bar.
    first : int
        Row at which the market begins; earlier bars are history.
    rollovers : Rollovers or None
    minutes : Minutes or None
    growing : bool
        True where more bars are to come (`grow`); the last of these is still forming then.

    Attributes
    ----------
    bar : int
        The newest bar that has begun.
    opened : bool
        True between its open and its close.
    volume_scale : int
        `tick_volume` counts this fraction of the volumes given, so that none is lost.
    """

    def __init__(
        self,
        spec: SymbolSpec,
        bars: Bars,
        params: Params,
        stamps: Stamps,
        *,
        volume: npt.NDArray[np.float64] | None = None,
        first: int = 0,
        rollovers: Rollovers | None = None,
        minutes: Minutes | None = None,
        growing: bool = False,
    ) -> None:
        self.spec, self.bars, self.params, self.stamps, self.first = spec, bars, params, stamps, first
        # Asked for at every look at the clock, and a numpy record's attributes are slow to read.
        self.bar_seconds = int(params.bar_seconds)
        self.rollovers = no_rollovers() if rollovers is None else rollovers
        self.minutes = no_minutes() if minutes is None else minutes
        self.bar, self.opened = first - 1, False
        volumes = np.ones(len(bars.time)) if volume is None else volume
        # Of bars that are still to come nobody knows how fine their volumes are.
        self.volume_scale = int(10**_FINEST) if growing else volume_scale(volumes)
        self._forming_rows = int(growing)
        self._lay_out(volumes)

    def _lay_out(self, volumes: npt.NDArray[np.float64]) -> None:
        """Write down the bars as a terminal shows them."""
        bars, stamps, spec = self.bars, self.stamps, self.spec
        self.rows = np.zeros(len(bars.time), dtype=RATES_DTYPE)
        for name in ("open", "high", "low", "close"):
            self.rows[name] = getattr(bars, name)
        self.rows["time"] = stamps.of(bars.time)
        self.rows["tick_volume"] = np.rint(volumes * self.volume_scale)
        self.rows["spread"] = np.rint(bars.spread / spec.point)
        self.folded = bool((np.diff(self.rows["time"]) <= 0).any())
        """True where the server's clock is set back within the bars."""

    def grow(self, bars: Bars, volume: npt.NDArray[np.float64], *, closed: int) -> None:
        """Take the bars as they are known by now: those of before, and more.

        Parameters
        ----------
        bars, volume
            All of them; of one that is forming only open and spread are looked at.
        closed : int
            How many of them have closed: all, or all but the last.
        """
        self.bars, self._forming_rows = bars, len(bars.time) - closed
        self._lay_out(volume)

    @property
    def following(self) -> int | None:
        """UTC second at which the next bar opens, None after the last one."""
        after = self.bar + 1
        return int(self.bars.time[after]) if after < len(self.bars.time) else None

    @property
    def at_end(self) -> bool:
        """True once the last bar has closed, or while the next one to close is still forming."""
        closing = self.bar if self.opened else self.bar + 1
        return closing >= len(self.bars.time) - self._forming_rows

    @property
    def next_close(self) -> int:
        """UTC second at which the next bar closes."""
        bar = self.bar if self.opened else self.bar + 1
        return int(self.bars.time[bar]) + self.bar_seconds

    @property
    def closed(self) -> int:
        """How many bars have closed."""
        return self.bar if self.opened else self.bar + 1

    def begin_bar(self) -> float:
        """Go on to the open of the next bar and return the nights passed since the last one's."""
        before = self.bars.time[self.bar] if self.bar >= 0 else -1
        self.bar += 1
        self.opened = True
        midnights = self.rollovers.time
        place, after = midnights.searchsorted((before, self.bars.time[self.bar]), side="right").tolist()
        if place == after:
            # No midnight between the two opens, as at 95 of 96 bars.
            return 0.0
        _, nights = nights_until(self.rollovers, place, self.bars.time[self.bar])
        return float(nights)

    def end_bar(self) -> None:
        """Go on to the close of the bar that has begun."""
        self.opened = False

    @property
    def now(self) -> int:
        """UTC second of the newest quote."""
        opens = int(self.bars.time[max(self.bar, 0)])
        return opens if self.opened or self.bar < 0 else opens + self.bar_seconds

    def quote(self) -> Quote:
        """Return the open's quote inside a bar, the close's between bars."""
        i, bars = max(self.bar, 0), self.bars
        bid = bars.open[i] if self.opened or self.bar < 0 else bars.close[i]
        return Quote(self.now, float(bid), float(bid + bars.spread[i]))

    def in_session(self, utc: int) -> bool:
        """Tell whether the symbol's weekly hours allow dealing at a moment."""
        hours = self.spec.trading_hours
        return not hours or bool(open_at(np.array([utc], dtype=np.int64), hours, self.stamps.clock)[0])

    def day_open(self) -> float:
        """Return the open of the server's day, for the session figures."""
        # Twice a day's rows hold its first one, however long the market has been going on.
        day = 2 * _DAY // self.bar_seconds
        rows = self.rows[max(0, self.bar + 1 - day) : self.bar + 1]
        if len(rows) == 0:
            return 0.0
        midnight = rows["time"][-1] // _DAY * _DAY
        return float(rows["open"][int(np.searchsorted(rows["time"], midnight))])

    def seen(self, begin: int = 0) -> Rates:
        """Return the rows from `begin` on that a terminal shows now, the forming one last."""
        closed, forming = self.rows[begin : self.closed], self._forming()
        if forming is None:
            return closed.copy()
        result = np.empty(len(closed) + 1, dtype=RATES_DTYPE)
        # As blocks of bytes: copied field by field this takes ten times as long.
        result.view(_BLOCK)[:-1] = closed.view(_BLOCK)
        result[-1] = forming[0]
        return result

    def _forming(self) -> Rates | None:
        quote = self.quote()
        if self.bar < 0 or not (self.opened or self.in_session(quote.time)):
            return None
        row = self.rows[self.bar : self.bar + 1].copy()
        row["time"] = self.stamps.seconds(quote.time)
        for name in ("open", "high", "low", "close"):
            row[name] = quote.bid
        row["tick_volume"] = self.volume_scale
        return row


def feed_from_frame(
    spec: SymbolSpec,
    frame: pd.DataFrame,
    bars: Bars,
    params: Params,
    stamps: Stamps,
    first: int,
    rollovers: Rollovers,
    minutes: Minutes,
    growing: bool = False,
) -> Feed:
    """Return the market of a bar frame and its columns (`market_inputs.bar_columns`)."""
    volume = np.array(frame["volume"], dtype=np.float64)
    return Feed(
        spec,
        bars,
        params,
        stamps,
        volume=volume,
        first=first,
        rollovers=rollovers,
        minutes=minutes,
        growing=growing,
    )
