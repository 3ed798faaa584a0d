"""Symbols, bars and ticks: the functions of the package that only look at the market."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from trading.brokers.mt5_package.errors import CALL_FAILED, INVALID_PARAMS, NOT_FOUND, Failure
from trading.brokers.mt5_package.structs import BookInfo, SymbolInfo, Tick
from trading.brokers.mt5_package.types import ModuleTypes
from trading.brokers.simulated.faults import Fault
from trading.brokers.simulated.functions import queries, views
from trading.brokers.simulated.functions.calls import check_named, check_unnamed, milliseconds, moment, text, whole
from trading.brokers.simulated.functions.session import TerminalSession
from trading.brokers.simulated.markets import history
from trading.brokers.simulated.markets.market import Feed, Rates


class TerminalCharts(TerminalSession, ModuleTypes):
    """What a terminal shows of its symbols."""

    def symbols_total(self) -> int | None:
        """Return how many symbols the broker has."""
        return self._call("symbols_total", None, lambda _: len(self._server.feeds))

    def symbols_get(self, *args: Any, **kwargs: Any) -> tuple[SymbolInfo, ...] | None:
        """Return the symbols of a group, all without one."""
        problem = check_unnamed(args, text, optional=1) or check_named(kwargs, {"group": text})
        group = args[0] if args else kwargs.get("group", "*")
        names = [] if problem else queries.of_group(self._server.feeds, group)
        return self._call("symbols_get", problem, lambda _: tuple(self._symbol(name) for name in names))

    def _symbol(self, name: str) -> SymbolInfo:
        feed = self._server.feeds[name]
        return views.symbol_info(self._server, feed, self._server.tick(feed), selected=self._shown(name))

    def symbol_info(self, *args: Any) -> SymbolInfo | None:
        """Return a symbol's contract and newest quote."""
        problem = check_unnamed(args, text)

        def work(_: Fault) -> SymbolInfo | Failure:
            return self._symbol(args[0]) if args[0] in self._server.feeds else NOT_FOUND

        return self._call("symbol_info", problem, work)

    def symbol_info_tick(self, *args: Any) -> Tick | None:
        """Return a selected symbol's newest tick."""
        return self._call("symbol_info_tick", check_unnamed(args, text), lambda _: self._tick(args[0]))

    def _tick(self, symbol: str) -> Tick | Failure:
        feed = self._feed(symbol)
        if isinstance(feed, Failure) or not self._shown(symbol):
            return NOT_FOUND
        if self._server.now_msc < self._selected.get(symbol, 0):
            # Selected, but the first tick is still on its way.
            return Tick((0, 0.0, 0.0, 0.0, 0, 0, 0, 0.0))
        return self._server.tick(feed)

    def symbol_select(self, *args: Any) -> bool:
        """Show a symbol in Market Watch, or take it out; what positions or orders use stays."""
        problem = check_unnamed(args, text, whole, optional=1)

        def work(_: Fault) -> bool | Failure:
            symbol, enable = args[0], bool(args[1]) if len(args) > 1 else True
            if symbol not in self._server.feeds:
                return CALL_FAILED
            if not enable:
                if self._used(symbol):
                    return CALL_FAILED
                self._selected.pop(symbol, None)
            elif symbol not in self._selected:
                # What a position kept in view has its ticks already, and outlasts the position from now on.
                delay = 0 if self._used(symbol) else round(1000 * self._installation.selection_delay)
                self._selected[symbol] = self._server.now_msc + delay if delay else 0
            return True

        return self._call("symbol_select", problem, work) is True

    def market_book_add(self, *args: Any) -> bool:
        """Subscribe to a symbol's depth of market."""

        def work(_: Fault) -> bool | Failure:
            if args[0] not in self._server.feeds:
                return CALL_FAILED
            self._books.add(args[0])
            return True

        return self._call("market_book_add", check_unnamed(args, text), work) is True

    def market_book_get(self, *args: Any) -> tuple[BookInfo, ...] | None:
        """Return the depth of market of a symbol subscribed to."""

        def work(_: Fault) -> tuple[BookInfo, ...] | Failure:
            feed = self._feed(args[0])
            if isinstance(feed, Failure) or args[0] not in self._books:
                return NOT_FOUND
            return views.depth(self._server.tick(feed))

        return self._call("market_book_get", check_unnamed(args, text), work)

    def market_book_release(self, *args: Any) -> bool:
        """Give up the subscription."""

        def work(_: Fault) -> bool | Failure:
            if args[0] not in self._books:
                return CALL_FAILED
            self._books.remove(args[0])
            return True

        return self._call("market_book_release", check_unnamed(args, text), work) is True

    def copy_rates_from(self, *args: Any) -> Rates | None:
        """Return `count` bars up to a date."""
        problem = check_unnamed(args, text, whole, moment, whole)

        def work(_: Fault) -> Rates | Failure:
            symbol, timeframe, date, count = args
            return self._rates(symbol, timeframe, count, lambda feed, period: _until(feed, period, date, count))

        return self._call("copy_rates_from", problem, work)

    def copy_rates_from_pos(self, *args: Any) -> Rates | None:
        """Return `count` bars up to the one at a position, 0 being the forming bar."""
        problem = check_unnamed(args, text, whole, whole, whole)

        def work(_: Fault) -> Rates | Failure:
            symbol, timeframe, start, count = args
            return self._rates(symbol, timeframe, count, lambda feed, period: _back(feed, period, start, count))

        return self._call("copy_rates_from_pos", problem, work)

    def copy_rates_range(self, *args: Any) -> Rates | None:
        """Return the bars that open between two dates, both included."""
        problem = check_unnamed(args, text, whole, moment, moment)

        def work(_: Fault) -> Rates | Failure:
            symbol, timeframe, begin, end = args
            return self._rates(symbol, timeframe, 1, lambda feed, period: _between(feed, period, begin, end))

        return self._call("copy_rates_range", problem, work)

    def _rates(
        self, symbol: str, timeframe: int, count: int, query: Callable[[Feed, int], Rates | Failure]
    ) -> Rates | Failure:
        feed = self._feed(symbol)
        if isinstance(feed, Failure):
            return CALL_FAILED
        if not self._shown(symbol):
            return NOT_FOUND
        period = history.period_of(timeframe, feed)
        if timeframe not in history.PERIODS or count < 1:
            return INVALID_PARAMS
        return CALL_FAILED if period is None or count > self._installation.maxbars else query(feed, period)

    def copy_ticks_from(self, *args: Any) -> npt.NDArray[np.void] | None:
        """Return `count` ticks from a date on."""
        problem = check_unnamed(args, text, moment, whole, whole)

        def work(_: Fault) -> npt.NDArray[np.void] | Failure:
            feed = self._feed(args[0])
            if isinstance(feed, Failure):
                return CALL_FAILED
            if not self._shown(args[0]):
                return NOT_FOUND
            if args[2] < 0:
                return INVALID_PARAMS
            found = history.ticks(feed, args[3])
            return found[found["time_msc"] >= milliseconds(args[1])][: args[2]]

        return self._call("copy_ticks_from", problem, work)

    def copy_ticks_range(self, *args: Any) -> npt.NDArray[np.void] | None:
        """Return the ticks between two dates."""
        problem = check_unnamed(args, text, moment, moment, whole)

        def work(_: Fault) -> npt.NDArray[np.void] | Failure:
            feed = self._feed(args[0])
            if isinstance(feed, Failure):
                return CALL_FAILED
            if not self._shown(args[0]):
                return NOT_FOUND
            found = history.ticks(feed, args[3])
            begin, end = milliseconds(args[1]), milliseconds(args[2])
            return found[(found["time_msc"] >= begin) & (found["time_msc"] <= end)]

        return self._call("copy_ticks_range", problem, work)


def _until(feed: Feed, period: int, date: int | datetime, count: int) -> Rates | Failure:
    rows = history.rates(feed, period, feed.closed)
    rows = rows[rows["time"] <= milliseconds(date) // 1000][-count:]
    return rows if len(rows) else CALL_FAILED


def _back(feed: Feed, period: int, start: int, count: int) -> Rates | Failure:
    if start < 0:
        return INVALID_PARAMS
    rows = history.rates(feed, period, start + count)
    end = len(rows) - start
    return rows[max(0, end - count) : end] if end > 0 else CALL_FAILED


def _between(feed: Feed, period: int, begin: int | datetime, end: int | datetime) -> Rates:
    rows = history.rates(feed, period, feed.closed)
    return rows[(rows["time"] >= milliseconds(begin) // 1000) & (rows["time"] <= milliseconds(end) // 1000)]
