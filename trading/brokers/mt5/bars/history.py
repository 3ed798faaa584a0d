"""A symbol's closed bars as far back as they are wanted, for the store: page by page, newest first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from novosky.clock import Clock
from novosky.errors import BrokerError
from novosky.market.timeframe import Timeframe
from trading.brokers.mt5.bars.timeframes import terminal_code
from trading.brokers.mt5.clock import OffsetCheck, ServerTime
from trading.brokers.mt5.link import Link
from trading.brokers.mt5.symbols import has_quote, resolve_symbol
from trading.brokers.mt5.terms import Access, Timing

Rates = npt.NDArray[Any]

PAGE = 20_000
"""Bars asked for at once: about a megabyte, well below what terminals and the bridge hand out."""

_SETTLING_READS = 5
"""How often a first page is read again while it still grows; history trickles in after a login."""


@dataclass(frozen=True)
class History:
    """Bars as the server stamps them, and what they are of.

    Attributes
    ----------
    bars : pandas.DataFrame
        `time` on the server's clock, without a zone; prices, `volume`, `spread` in points. Ascending.
    symbol, server : str
        The broker's names.
    point : float
    digits : int
    confirmed : bool
        Whether a fresh quote agreed with the clock rule; False where the market stands still.
    """

    bars: pd.DataFrame
    symbol: str
    server: str
    point: float
    digits: int
    confirmed: bool


class BarHistory:
    """Reads bars through a terminal, and nothing else.

    Parameters
    ----------
    link : Link
        See `history_link`.
    clock : Clock
    timing : Timing
    """

    def __init__(self, link: Link, clock: Clock, timing: Timing) -> None:
        self._link, self._clock, self._timing = link, clock, timing

    def read(
        self,
        name: str,
        rule: str,
        frame: Timeframe,
        since: int | None,
        progress: Callable[[int], None] | None = None,
    ) -> History:
        """Return the closed bars of a symbol, from one at or before `since` on.

        Parameters
        ----------
        name : str
            The symbol; a broker's suffix is found.
        rule : str
            The server's clock, as in `broker.server_clock`.
        frame : Timeframe
        since : int, optional
            UTC epoch seconds; None reads all that the terminal has.
        progress : callable, optional
            Called with the number of bars after every page.

        Raises
        ------
        BrokerError
            No such symbol, a clock rule that the newest quote contradicts, or no bars.
        BrokerUnavailable
            The terminal does not answer.
        """
        self._link.ensure()
        symbol = resolve_symbol(self._link, name)
        self._link.ask("symbol_select", symbol, True)
        time = ServerTime(rule)
        confirmed = self._check_clock(symbol, time)
        info = self._link.read("symbol_info", symbol)
        first = None if since is None else time.stamp(since)
        rows = self._pages(symbol, terminal_code(frame), first, progress or (lambda _: None))
        if not len(rows):
            raise BrokerError(
                f"the terminal has no closed bars of {symbol}; open its chart once, so that it loads them"
            )
        if first is not None:
            rows = rows[max(0, int(np.searchsorted(rows["time"], first))) :]
        server = str(self._link.read("account_info").server)
        return History(_frame(rows), symbol, server, float(info.point), int(info.digits), confirmed)

    def _check_clock(self, symbol: str, time: ServerTime) -> bool:
        """Hold fresh quotes against the rule for a moment; whether one has confirmed it."""
        check, deadline = OffsetCheck(time), self._clock.now() + self._timing.tick_wait
        while True:
            tick = self._link.ask("symbol_info_tick", symbol).value
            if has_quote(tick):
                check.observe(int(tick.time_msc), self._clock.now())
            if check.confirmed or self._clock.now() >= deadline:
                return check.confirmed
            self._clock.sleep(self._timing.tick_poll)

    def _pages(self, symbol: str, timeframe: int, first: int | None, progress: Callable[[int], None]) -> Rates:
        most = int(self._link.read("terminal_info").maxbars)
        size = min(PAGE, most) if most > 0 else PAGE
        pages = [self._first_page(symbol, timeframe, size)]
        have = len(pages[0])
        while len(pages[-1]) == size and (first is None or pages[-1]["time"][0] > first):
            progress(have)
            wanted = min(size, most - have) if most > 0 else size
            if wanted <= 0:
                break
            # Beyond the oldest bar the terminal answers with a failure, not with nothing.
            answer = self._link.ask("copy_rates_from_pos", symbol, timeframe, 1 + have, wanted)
            if answer.value is None or len(answer.value) == 0:
                break
            pages.append(answer.value)
            have += len(pages[-1])
        progress(have)
        rows = np.concatenate(pages[::-1])
        # A bar that closed between two pages has shifted the later one by a row.
        seen = np.unique(rows["time"], return_index=True)[1] if len(pages) > 1 else np.arange(len(rows))
        return rows[np.sort(seen)]

    def _first_page(self, symbol: str, timeframe: int, size: int) -> Rates:
        """Read the newest closed bars; position 0 is the forming one."""
        page: Rates = self._link.read("copy_rates_from_pos", symbol, timeframe, 1, size)
        for _ in range(_SETTLING_READS):
            if len(page) == size:
                break
            self._clock.sleep(self._timing.read_pause)
            before, page = len(page), self._link.read("copy_rates_from_pos", symbol, timeframe, 1, size)
            if len(page) == before:
                break
        return page if len(page) else _NOTHING


def history_link(module: Any, clock: Clock, access: Access, timing: Timing) -> Link:
    """Return a connection that refuses another server than the one named: its bars are another broker's."""

    def check() -> None:
        server = link.read("account_info").server
        if server != access.server:
            raise BrokerError(
                f"the terminal stands at {server!r}, but bars of {access.server!r} are wanted; log the terminal in "
                "there, or correct MT5_SERVER"
            )

    link = Link(module, clock, access, timing, check)
    return link


def _frame(rows: Rates) -> pd.DataFrame:
    wall = (rows["time"].astype(np.int64) * 10**9).view("datetime64[ns]")
    traded = rows["real_volume"].astype(np.float64)
    ticks = rows["tick_volume"].astype(np.float64)
    columns = {name: rows[name].astype(np.float64) for name in ("open", "high", "low", "close")}
    # As in exports: brokers without an exchange behind them have 0 traded volume in every row.
    volume = traded if (traded > 0).any() else ticks
    return pd.DataFrame({"time": wall, **columns, "volume": volume, "spread": rows["spread"].astype(np.float64)})


_NOTHING: Rates = np.empty(0, dtype=[("time", "<i8")])
