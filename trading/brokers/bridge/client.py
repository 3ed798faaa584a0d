"""The MetaTrader 5 package for machines without a terminal: the same functions, through the bridge."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from trading.brokers.bridge.functions import BOOLEAN, HISTORY
from trading.brokers.bridge.line import LinkFailure
from trading.brokers.bridge.protocol import Hello
from trading.brokers.bridge.transport import Transport
from trading.brokers.mt5_package import structs
from trading.brokers.mt5_package.constants import ModuleConstants
from trading.brokers.mt5_package.errors import SUCCESS
from trading.brokers.mt5_package.types import ModuleTypes
from trading.brokers.simulated.functions.calls import passes_empty_mapping

CALL_SECONDS = 30.0
"""How long an ordinary call may take; a broker answers an order in one to three."""
HISTORY_SECONDS = 120.0
"""The same for history, which the terminal may have to download first (91 s have been seen)."""
CONNECT_SECONDS = 10.0
"""Added to the timeout that `initialize` and `login` are given in milliseconds."""
DEFAULT_TIMEOUT = 60_000
"""The package's own for those two, in milliseconds."""
_EXCEPTIONS: Mapping[str, type[Exception]] = {
    kind.__name__: kind for kind in (TypeError, ValueError, OverflowError, NotImplementedError)
}


class BridgeModule(ModuleConstants, ModuleTypes):
    """Has the functions, constants and types of the package and behaves like it.

    Failure is a value, as in the package: None or False, and `last_error()` says why; what the
    link itself adds is listed in `trading.brokers.bridge.transport`. Only what cannot be called so at
    all raises: keywords where the package takes none, any argument where it takes none.

    Calls of several threads are made one after the other, and each thread reads the last error
    of its own last call. `order_send`, `initialize`, `login` and `shutdown` are sent once; the
    others once more if the connection turns out to be dead.

    Parameters
    ----------
    url, token : str
        The server, `https://host:port` or loopback by `http://`, and its token.
    ca : Path, optional
        The server's certificate, where no public authority signed it.
    call_seconds, history_seconds : float
        How long to wait for an answer.

    Raises
    ------
    UsageError
        An address or token that must not be used.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        ca: Path | None = None,
        call_seconds: float = CALL_SECONDS,
        history_seconds: float = HISTORY_SECONDS,
    ) -> None:
        self._transport = Transport(url, token, ca)
        self._call_seconds = call_seconds
        self._history_seconds = history_seconds
        self._lock = threading.Lock()
        self._latest: tuple[int, str] = SUCCESS
        self._own = threading.local()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection to the bridge; the terminal's stays as it is."""
        with self._lock:
            self._transport.close()

    @property
    def __version__(self) -> str:
        """Version of the package beside the terminal; `unknown` before the first answer."""
        return self._transport.package or "unknown"

    def hello(self) -> Hello:
        """Ask the server who it is; not a function of the package.

        Raises
        ------
        LinkFailure
            It does not answer, or cannot be worked with.
        """
        with self._lock:
            return self._transport.hello()

    def last_error(self) -> tuple[int, str]:
        """Return code and text of the last error of this thread's last call.

        A thread that has made no call reads that of the latest one of all threads.
        """
        error: tuple[int, str] = getattr(self._own, "error", self._latest)
        return error

    def initialize(self, *args: Any, **kwargs: Any) -> bool:
        """Connect the package to the terminal; `[path], login=, password=, server=, timeout=, portable=`."""
        return bool(self._timed("initialize", args, kwargs))

    def login(self, *args: Any, **kwargs: Any) -> bool:
        """Log in to an account; `login, password=, server=, timeout=`."""
        return bool(self._timed("login", args, kwargs))

    def shutdown(self) -> None:
        """Close the package's connection to the terminal, which keeps running."""
        self._call("shutdown")

    def version(self) -> tuple[int, int, str] | None:
        """Return the terminal's version, build and release date."""
        found: tuple[int, int, str] | None = self._call("version")
        return found

    def account_info(self) -> structs.AccountInfo | None:
        """Return the account."""
        found: structs.AccountInfo | None = self._call("account_info")
        return found

    def terminal_info(self) -> structs.TerminalInfo | None:
        """Return the terminal's state."""
        found: structs.TerminalInfo | None = self._call("terminal_info")
        return found

    def symbols_total(self) -> int | None:
        """Return the number of symbols."""
        found: int | None = self._call("symbols_total")
        return found

    def orders_total(self) -> int | None:
        """Return the number of active orders."""
        found: int | None = self._call("orders_total")
        return found

    def positions_total(self) -> int | None:
        """Return the number of open positions."""
        found: int | None = self._call("positions_total")
        return found

    def symbols_get(self, *args: Any, **kwargs: Any) -> tuple[structs.SymbolInfo, ...] | None:
        """Return the symbols; `[group]`."""
        found: tuple[structs.SymbolInfo, ...] | None = self._call("symbols_get", args, kwargs)
        return found

    def symbol_info(self, *args: Any) -> structs.SymbolInfo | None:
        """Return one symbol; `symbol`."""
        found: structs.SymbolInfo | None = self._call("symbol_info", args)
        return found

    def symbol_info_tick(self, *args: Any) -> structs.Tick | None:
        """Return a symbol's last tick; `symbol`."""
        found: structs.Tick | None = self._call("symbol_info_tick", args)
        return found

    def symbol_select(self, *args: Any) -> bool:
        """Show or hide a symbol in Market Watch; `symbol, [enable]`."""
        return bool(self._call("symbol_select", args))

    def market_book_add(self, *args: Any) -> bool:
        """Subscribe to a symbol's depth of market; `symbol`."""
        return bool(self._call("market_book_add", args))

    def market_book_get(self, *args: Any) -> tuple[structs.BookInfo, ...] | None:
        """Return a symbol's depth of market; `symbol`."""
        found: tuple[structs.BookInfo, ...] | None = self._call("market_book_get", args)
        return found

    def market_book_release(self, *args: Any) -> bool:
        """End the subscription; `symbol`."""
        return bool(self._call("market_book_release", args))

    def copy_rates_from(self, *args: Any) -> Any:
        """Return bars up to a date; `symbol, timeframe, date_from, count`."""
        return self._call("copy_rates_from", args)

    def copy_rates_from_pos(self, *args: Any) -> Any:
        """Return bars counted from the present back; `symbol, timeframe, start_pos, count`."""
        return self._call("copy_rates_from_pos", args)

    def copy_rates_range(self, *args: Any) -> Any:
        """Return the bars between two dates; `symbol, timeframe, date_from, date_to`."""
        return self._call("copy_rates_range", args)

    def copy_ticks_from(self, *args: Any) -> Any:
        """Return ticks from a date on; `symbol, date_from, count, flags`."""
        return self._call("copy_ticks_from", args)

    def copy_ticks_range(self, *args: Any) -> Any:
        """Return the ticks between two dates; `symbol, date_from, date_to, flags`."""
        return self._call("copy_ticks_range", args)

    def orders_get(self, *args: Any, **kwargs: Any) -> tuple[structs.TradeOrder, ...] | None:
        """Return active orders; `symbol=` or `group=` or `ticket=`."""
        found: tuple[structs.TradeOrder, ...] | None = self._call("orders_get", args, kwargs)
        return found

    def positions_get(self, *args: Any, **kwargs: Any) -> tuple[structs.TradePosition, ...] | None:
        """Return open positions; `symbol=` or `group=` or `ticket=`."""
        found: tuple[structs.TradePosition, ...] | None = self._call("positions_get", args, kwargs)
        return found

    def order_calc_margin(self, *args: Any) -> float | None:
        """Return the margin of a trade in deposit currency; `action, symbol, volume, price`."""
        found: float | None = self._call("order_calc_margin", args)
        return found

    def order_calc_profit(self, *args: Any) -> float | None:
        """Return a trade's profit in deposit currency; `action, symbol, volume, price_open, price_close`."""
        found: float | None = self._call("order_calc_profit", args)
        return found

    def order_check(self, *args: Any, **kwargs: Any) -> structs.OrderCheckResult | None:
        """Tell whether a request could be executed; a dictionary, or its items as keywords."""
        found: structs.OrderCheckResult | None = self._request("order_check", args, kwargs)
        return found

    def order_send(self, *args: Any, **kwargs: Any) -> structs.OrderSendResult | None:
        """Send a trade request, once; a dictionary, or its items as keywords."""
        found: structs.OrderSendResult | None = self._request("order_send", args, kwargs)
        return found

    def history_orders_total(self, *args: Any) -> int | None:
        """Return the number of finished orders; `date_from, date_to`."""
        found: int | None = self._call("history_orders_total", args)
        return found

    def history_orders_get(self, *args: Any, **kwargs: Any) -> tuple[structs.TradeOrder, ...] | None:
        """Return finished orders; `date_from, date_to, [group=]` or `ticket=` or `position=`."""
        found: tuple[structs.TradeOrder, ...] | None = self._call("history_orders_get", args, kwargs)
        return found

    def history_deals_total(self, *args: Any) -> int | None:
        """Return the number of deals; `date_from, date_to`."""
        found: int | None = self._call("history_deals_total", args)
        return found

    def history_deals_get(self, *args: Any, **kwargs: Any) -> tuple[structs.TradeDeal, ...] | None:
        """Return deals; `date_from, date_to, [group=]` or `ticket=` (of the order) or `position=`."""
        found: tuple[structs.TradeDeal, ...] | None = self._call("history_deals_get", args, kwargs)
        return found

    def Buy(self, *args: Any, **kwargs: Any) -> None:
        """Never: it would trade without stop loss and take profit; NotImplementedError."""
        raise NotImplementedError("the bridge sends orders by order_send only, stops and all")

    Sell = Buy
    Close = Buy

    def _request(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call with a trade request; the package takes none next to an empty mapping of keywords."""
        # Python hands on no trace of an empty `**{}`: only the caller's own code shows it.
        written = sys._getframe(2)
        empty = bool(args) and not kwargs and passes_empty_mapping(written)
        return self._call(name, args, kwargs, mapping=empty)

    def _timed(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call with the function's own timeout in milliseconds."""
        given = kwargs.get("timeout", DEFAULT_TIMEOUT)
        milliseconds = given if type(given) is int and given > 0 else DEFAULT_TIMEOUT
        return self._call(name, args, kwargs, patience=milliseconds / 1000 + CONNECT_SECONDS)

    def _call(
        self,
        name: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        patience: float | None = None,
        mapping: bool = False,
    ) -> Any:
        if patience is None:
            patience = self._history_seconds if name in HISTORY else self._call_seconds
        with self._lock:
            try:
                reply = self._transport.call(name, args, kwargs if kwargs or mapping else None, patience)
            except LinkFailure as link:
                self._note((link.failure.code, link.failure.text))
                return False if name in BOOLEAN else None
            self._note(reply.error)
        if reply.raised is not None:
            kind, text = reply.raised
            raise _EXCEPTIONS.get(kind, RuntimeError)(text)
        return reply.value

    def _note(self, error: tuple[int, str]) -> None:
        self._latest = self._own.error = error
