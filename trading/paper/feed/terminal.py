"""A MetaTrader 5 terminal as a feed, directly or over the bridge: bars and ticks are read, nothing is ordered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from novosky.clock import Clock
from novosky.settings import Settings
from trading.brokers.mt5.bars.reader import folded_rows
from trading.brokers.mt5.bars.timeframes import terminal_code
from trading.brokers.mt5.clock import ServerTime
from trading.brokers.mt5.link import Link
from trading.brokers.mt5.module import TerminalModule
from trading.brokers.mt5.symbols import await_tick, has_quote, resolve_symbol
from trading.brokers.mt5.terms import Access, Timing
from trading.brokers.mt5.worker import LinkWedged
from trading.brokers.port import BrokerUnavailable
from trading.paper.feed.port import FeedUnavailable, Window, window_of

ANY_ACCOUNT = Access(login=0, server="", real=False)
"""The terminal is taken as it stands: whoever only reads prices logs in nowhere."""
_MARGIN = 8


class TerminalFeed:
    """Bars of the symbol and time frame that config.json names.

    Parameters
    ----------
    module : TerminalModule
    settings : Settings
    clock : Clock
    name : str
        "mt5" or "bridge", for people.
    timing : Timing or None
    renew : callable or None
        Returns a new module after the old one hung.
    volume_unit : float
        A bar's volume is its tick count over this.
    """

    caveat = ""

    def __init__(
        self,
        module: TerminalModule,
        settings: Settings,
        clock: Clock,
        name: str,
        *,
        timing: Timing | None = None,
        renew: Callable[[], TerminalModule] | None = None,
        volume_unit: float = 1.0,
    ) -> None:
        self._settings, self._clock, self._name = settings, clock, name
        self._frame = settings.frame
        self._timing = Timing() if timing is None else timing
        self._time = ServerTime(settings.broker.server_clock)
        self._link = Link(module, clock, ANY_ACCOUNT, self._timing, self._prepare, renew)
        self._volume_unit = volume_unit
        self._symbol = settings.symbol

    @property
    def label(self) -> str:
        """Source and symbol; the broker's own suffix is not part of it."""
        return f"{self._name} {self._settings.symbol}"

    def _prepare(self) -> None:
        self._symbol = resolve_symbol(self._link, self._settings.symbol)
        await_tick(self._link, self._clock, self._timing, self._symbol)

    def history(self, count: int, since: int) -> Window:
        """Return the bars up to now from `count` before `since` on; see `BarFeed.history`."""
        passed = max(0, int(self._clock.now()) - since) // self._frame.seconds
        return self._window(count + passed + _MARGIN)

    def newer(self, than: int) -> Window:
        """Return the bars after a moment; see `BarFeed.newer`."""
        passed = max(0, int(self._clock.now()) - than) // self._frame.seconds
        window = self._window(passed + _MARGIN)
        opened = window.frame["time"] > pd.Timestamp(than, unit="s", tz="UTC")
        older = int((~opened).sum())
        return Window(window.frame[opened].reset_index(drop=True), max(0, window.closed - older))

    def _window(self, count: int) -> Window:
        try:
            self._link.ensure()
            rows = self._link.read("copy_rates_from_pos", self._symbol, terminal_code(self._frame), 0, count)
            tick = self._link.read("symbol_info_tick", self._symbol)
        except (BrokerUnavailable, LinkWedged) as error:
            raise FeedUnavailable(str(error)) from error
        if len(rows) == 0:
            raise FeedUnavailable(f"the terminal shows no bars of {self._symbol}")
        window = window_of(self._read(rows), self._frame, self._clock.now())
        if window.closed < len(window.frame) and has_quote(tick):
            # The quote of now, in points: what a trade at this bar's open would have paid.
            points = round((float(tick.ask) - float(tick.bid)) / self._settings.broker.point)
            window.frame.loc[len(window.frame) - 1, "spread"] = float(points)
        return window

    def _read(self, rows: Any) -> pd.DataFrame:
        volume = rows["tick_volume"].astype(np.float64)
        # The forming bar is among the rows: it counts as come.
        newest = self._clock.now() + self._frame.seconds
        placed = self._time.bars(rows["time"].astype(np.int64), newest, self._frame.seconds, volume)
        opens = placed.utc
        if placed.remarks:
            rows, opens = folded_rows(rows, placed)
        time = pd.DatetimeIndex((opens * 10**9).view("datetime64[ns]"), tz="UTC")
        prices = {name: rows[name].astype(np.float64) for name in ("open", "high", "low", "close")}
        volume, spread = rows["tick_volume"] / self._volume_unit, rows["spread"].astype(np.float64)
        frame = pd.DataFrame({"time": time, **prices, "volume": volume, "spread": spread})
        return frame.sort_values("time", kind="stable", ignore_index=True)

    def close(self) -> None:
        """Leave the terminal; it runs on."""
        self._link.close()
