"""The connection between a program and the terminal: one call at a time, and how calls fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from trading.brokers.mt5_package.constants import ModuleConstants
from trading.brokers.mt5_package.errors import (
    AUTH_FAILED,
    CALL_FAILED,
    NO_CONNECTION,
    NOT_FOUND,
    SUCCESS,
    Failure,
    no_terminal,
)
from trading.brokers.mt5_package.structs import AccountInfo, TerminalInfo
from trading.brokers.simulated.dealing import NO_FAULT
from trading.brokers.simulated.faults import Fault, FaultPlan
from trading.brokers.simulated.functions import views
from trading.brokers.simulated.functions.calls import check_named, check_unnamed, text, whole
from trading.brokers.simulated.functions.views import Installation
from trading.brokers.simulated.markets.market import Feed
from trading.brokers.simulated.server import TradeServer

T = TypeVar("T")
Work = Callable[[Fault], T | Failure]
_LOGIN_KINDS: Mapping[str, Any] = {"login": whole, "password": text, "server": text, "timeout": whole}
_INITIALIZE_KINDS: Mapping[str, Any] = {**_LOGIN_KINDS, "path": text}


class TerminalSession(ModuleConstants):
    """A terminal program and the connection to it.

    Parameters
    ----------
    server : TradeServer
    faults : FaultPlan or None
        What goes wrong.
    installation : Installation
    """

    __version__ = "5.0.6231"
    __author__ = "NOVOSKY"

    def __init__(
        self, server: TradeServer, faults: FaultPlan | None = None, installation: Installation | None = None
    ) -> None:
        self._server = server
        self._faults = FaultPlan() if faults is None else faults
        self._installation = Installation() if installation is None else installation
        self._attached = False
        self._busy = False
        self._error: tuple[int, str] = SUCCESS
        self._books: set[str] = set()
        self._selected = dict.fromkeys(self._installation.selected, 0)

    def _call(self, name: str, problem: Failure | None, work: Work[T], *, pipe: bool = True) -> T | None:
        """Do one call: argument errors first, then the pipe, then what was planned to go wrong."""
        if self._busy:
            # Two threads in the module at once spoil each other's call, as in the package.
            self._error = (CALL_FAILED.code, CALL_FAILED.text)
            return None
        self._busy = True
        try:
            if problem is None and pipe and not self._attached:
                problem = NO_CONNECTION
            outcome: T | Failure = self._attempt(name, work) if problem is None else problem
        finally:
            self._busy = False
        if isinstance(outcome, Failure):
            self._error = (outcome.code, outcome.text)
            return None
        self._error = SUCCESS
        return outcome

    def _attempt(self, name: str, work: Work[T]) -> T | Failure:
        fault = self._faults.draw(name)
        if fault is None:
            return work(NO_FAULT)
        if fault.block is not None:
            fault.block()
        if fault.error is not None and not fault.executes:
            raise fault.error
        outcome: T | Failure
        if fault.failure is not None and not fault.executes:
            outcome = fault.failure
        else:
            outcome = work(fault)
        self._server.wait(fault.seconds)
        self._attached = self._attached and not fault.closes_pipe
        if fault.restarts:
            self._selected = dict.fromkeys(self._installation.selected, 0)
            self._books.clear()
        if fault.error is not None:
            raise fault.error
        if fault.empty:
            return cast(T, ())
        return fault.failure or outcome

    def _feed(self, symbol: str) -> Feed | Failure:
        return self._server.feeds.get(symbol, NOT_FOUND)

    def _shown(self, symbol: str) -> bool:
        """Tell whether a symbol is in Market Watch; one with positions or orders always is."""
        return symbol in self._selected or self._used(symbol)

    def _used(self, symbol: str) -> bool:
        """Tell whether a position or a waiting order keeps a symbol in Market Watch."""
        book = self._server.book
        return any(position.symbol == symbol for position in book.positions.values()) or any(
            order.symbol == symbol for order in book.pending.values()
        )

    def initialize(self, *args: Any, **kwargs: Any) -> bool:
        """Connect to the terminal, starting it if need be, and to an account if one is named."""
        problem = check_unnamed(args, text, optional=1) or check_named(kwargs, _INITIALIZE_KINDS)
        path = args[0] if args else kwargs.get("path", self._installation.path)

        def work(_: Fault) -> bool | Failure:
            if path != self._installation.path:
                return no_terminal("MetaTrader 5 x64 not found")
            refused = self._refuse_login(kwargs)
            self._attached = refused is None
            return refused or True

        return self._call("initialize", problem, work, pipe=False) is True

    def login(self, *args: Any, **kwargs: Any) -> bool:
        """Connect to an account."""
        problem = check_unnamed(args, whole, optional=1) or check_named(kwargs, _LOGIN_KINDS)
        named = dict(kwargs, login=args[0]) if args else kwargs
        work: Work[bool] = lambda _: self._refuse_login(named) or True  # noqa: E731
        return self._call("login", problem, work) is True

    def _refuse_login(self, named: Mapping[str, Any]) -> Failure | None:
        terms = self._server.terms
        right = {"login": terms.login, "password": terms.password, "server": terms.server}
        wrong = any(name in named and named[name] != value for name, value in right.items())
        return AUTH_FAILED if wrong else None

    def shutdown(self) -> None:
        """Close the connection; the terminal runs on and stays logged in."""
        self._attached = False
        self._error = SUCCESS

    def version(self) -> tuple[int, int, str] | None:
        """Return (500, build, release date)."""
        installed = self._installation
        return self._call("version", None, lambda _: (500, installed.build, installed.released))

    def last_error(self) -> tuple[int, str]:
        """Return code and text of the last call."""
        return self._error

    def terminal_info(self) -> TerminalInfo | None:
        """Return the program's state."""
        return self._call("terminal_info", None, lambda _: views.terminal_info(self._server, self._installation))

    def account_info(self) -> AccountInfo | None:
        """Return the account's terms and money."""
        return self._call("account_info", None, lambda _: views.account_info(self._server))
