"""The MetaTrader 5 package's functions over a simulated broker, failures and all.

An instance stands where the module would: the same functions, called the same way, the
same constants, the same answers. Nothing else is public on it, so that code written for it
runs on the real package; the simulation is steered through its `TradeServer`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

from trading.brokers.mt5_package.errors import API_DISABLED, CALL_FAILED, INVALID_PARAMS, UNNAMED_ARGUMENTS, Failure
from trading.brokers.mt5_package.structs import (
    OrderCheckResult,
    OrderSendResult,
    TradeDeal,
    TradeOrder,
    TradePosition,
    TradeRequest,
)
from trading.brokers.simulated import calc
from trading.brokers.simulated.book import order_side
from trading.brokers.simulated.checks import MARKET
from trading.brokers.simulated.faults import Fault
from trading.brokers.simulated.functions import previews, queries
from trading.brokers.simulated.functions.calls import (
    check_named,
    check_unnamed,
    moment,
    read_request,
    real,
    text,
    whole,
)
from trading.brokers.simulated.functions.charts import TerminalCharts
from trading.brokers.simulated.replies import refusal

_FILTERS: Mapping[str, Any] = {"symbol": text, "group": text, "ticket": whole}
_HISTORY_FILTERS: Mapping[str, Any] = {"group": text, "ticket": whole, "position": whole}


class SimulatedTerminal(TerminalCharts):
    """One terminal program on a simulated broker.

    Parameters
    ----------
    server : TradeServer
    faults : FaultPlan or None
        What goes wrong.
    installation : Installation
    """

    def orders_total(self) -> int | None:
        """Return how many orders are waiting."""
        return self._call("orders_total", None, lambda _: len(self._server.book.pending))

    def orders_get(self, *args: Any, **kwargs: Any) -> tuple[TradeOrder, ...] | None:
        """Return the waiting orders, of a symbol, a group or one ticket."""
        problem = (UNNAMED_ARGUMENTS if args else None) or check_named(kwargs, _FILTERS)
        return self._call("orders_get", problem, lambda _: queries.orders(self._server, kwargs))

    def positions_total(self) -> int | None:
        """Return how many positions are open."""
        return self._call("positions_total", None, lambda _: len(queries.positions(self._server, {})))

    def positions_get(self, *args: Any, **kwargs: Any) -> tuple[TradePosition, ...] | None:
        """Return the open positions, of a symbol, a group or one ticket."""
        problem = (UNNAMED_ARGUMENTS if args else None) or check_named(kwargs, _FILTERS)
        return self._call("positions_get", problem, lambda _: queries.positions(self._server, kwargs))

    def order_calc_margin(self, *args: Any) -> float | None:
        """Return the margin of an order in the account's currency."""
        problem = check_unnamed(args, whole, text, real, real)

        def work(_: Fault) -> float | Failure:
            feed = self._feed(args[1])
            if isinstance(feed, Failure) or args[0] not in MARKET:
                return INVALID_PARAMS
            usd = calc.margin_usd(self._server.feeds, feed, args[2], args[3])
            return _sum_of(None if usd is None else self._server.terms.shown(usd))

        return self._call("order_calc_margin", problem, work)

    def order_calc_profit(self, *args: Any) -> float | None:
        """Return the result of a trade in the account's currency, without commission and swap."""
        problem = check_unnamed(args, whole, text, real, real, real)

        def work(_: Fault) -> float | Failure:
            feed = self._feed(args[1])
            if isinstance(feed, Failure) or args[0] not in MARKET:
                return INVALID_PARAMS
            usd = calc.profit_usd(self._server.feeds, feed, order_side(args[0]), *args[2:])
            return _sum_of(None if usd is None else round(self._server.terms.shown(usd), 8))

        return self._call("order_calc_profit", problem, work)

    def order_check(self, *args: Any, **kwargs: Any) -> OrderCheckResult | None:
        """Return whether a request would be taken; success is retcode 0."""
        request = read_request(args, kwargs, sys._getframe(1))
        if isinstance(request, Failure):
            return self._call("order_check", request, lambda _: None)
        return self._call("order_check", self._api_failure(), lambda _: previews.check(self._server, request))

    def order_send(self, *args: Any, **kwargs: Any) -> OrderSendResult | None:
        """Send a request to the trade server."""
        request = read_request(args, kwargs, sys._getframe(1))
        if isinstance(request, Failure):
            return self._call("order_send", request, lambda _: None)
        return self._call("order_send", self._api_failure(), lambda fault: self._send(request, fault))

    def _api_failure(self) -> Failure | None:
        state = self._server.conditions
        return API_DISABLED if self._attached and not (state.api_allowed or state.api_answers) else None

    def _send(self, request: TradeRequest, fault: Fault) -> OrderSendResult:
        server = self._server
        if not server.conditions.api_allowed:
            return refusal(self.TRADE_RETCODE_CLIENT_DISABLES_AT, request, server.main.quote(), 0)
        # An order for a symbol outside Market Watch finds no quote; positions and orders keep theirs in view.
        fresh = request.action in (self.TRADE_ACTION_DEAL, self.TRADE_ACTION_PENDING)
        if fresh and request.symbol in server.feeds and not self._shown(request.symbol):
            return refusal(self.TRADE_RETCODE_PRICE_OFF, request, server.main.quote(), 0)
        return server.send(request, fault)

    def history_orders_total(self, *args: Any) -> int | None:
        """Return how many finished orders there are between two dates."""
        problem = check_unnamed(args, moment, moment)
        return self._call("history_orders_total", problem, lambda _: len(queries.past_orders(self._server, args, {})))

    def history_orders_get(self, *args: Any, **kwargs: Any) -> tuple[TradeOrder, ...] | None:
        """Return finished orders between two dates, or of an order or position ticket."""
        problem = _history_problem(args, kwargs)
        return self._call("history_orders_get", problem, lambda _: queries.past_orders(self._server, args, kwargs))

    def history_deals_total(self, *args: Any) -> int | None:
        """Return how many deals there are between two dates."""
        problem = check_unnamed(args, moment, moment)
        return self._call("history_deals_total", problem, lambda _: len(queries.past_deals(self._server, args, {})))

    def history_deals_get(self, *args: Any, **kwargs: Any) -> tuple[TradeDeal, ...] | None:
        """Return deals between two dates, or of an order (`ticket`) or position."""
        problem = _history_problem(args, kwargs)
        return self._call("history_deals_get", problem, lambda _: queries.past_deals(self._server, args, kwargs))

    def Buy(self, *args: Any, **kwargs: Any) -> OrderSendResult | None:
        """Refuse: the package's helpers trade without stops, magic or filling.

        Raises
        ------
        NotImplementedError
        """
        raise NotImplementedError("Buy sends orders without a stop; use order_send")

    def Sell(self, *args: Any, **kwargs: Any) -> OrderSendResult | None:
        """Refuse, as `Buy`.

        Raises
        ------
        NotImplementedError
        """
        raise NotImplementedError("Sell sends orders without a stop; use order_send")

    def Close(self, *args: Any, **kwargs: Any) -> bool | str | None:
        """Refuse: the package's helper closes every position of the symbol, foreign ones too.

        Raises
        ------
        NotImplementedError
        """
        raise NotImplementedError("Close also closes positions of others; use order_send with a position")


def _sum_of(money: float | None) -> float | Failure:
    """Return a calculated sum; one that no number holds comes of arguments that are none."""
    if money is None:
        return CALL_FAILED
    return money if math.isfinite(money) else INVALID_PARAMS


def _history_problem(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Failure | None:
    named = check_named(kwargs, _HISTORY_FILTERS)
    if named or (not args and kwargs.keys() & {"ticket", "position"}):
        return named
    return check_unnamed(args, moment, moment)
