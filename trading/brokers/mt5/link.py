"""The connection to the terminal: lost and found again with growing pauses, every read's failure named."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from random import Random
from typing import Any

from novosky.clock import Clock
from trading.brokers.mt5.module import TerminalModule
from trading.brokers.mt5.terms import Access, Timing, shown_login
from trading.brokers.mt5.worker import ENTRY, READ, Answer, LinkWedged, caller_of
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.port import BrokerUnavailable

_log = logging.getLogger(__name__)

_LOST = frozenset(
    {
        C.RES_E_INTERNAL_FAIL,
        C.RES_E_INTERNAL_FAIL_SEND,
        C.RES_E_INTERNAL_FAIL_RECEIVE,
        C.RES_E_INTERNAL_FAIL_INIT,
        C.RES_E_INTERNAL_FAIL_CONNECT,
        C.RES_E_INTERNAL_FAIL_TIMEOUT,
        C.RES_E_AUTH_FAILED,
    }
)
"""Errors after which the connection is made anew; a login elsewhere throws this one out with -6."""
_OF_SYMBOL = frozenset({"symbol_info_tick", "copy_rates_from_pos"})
"""Reads that a terminal refuses while the symbol, their first argument, is not in Market Watch."""
_DOWNLOADING = frozenset({"copy_rates_from_pos", "history_deals_get", "history_orders_get"})


class Link:
    """One module, its worker and the state of the connection.

    Parameters
    ----------
    module : TerminalModule
    clock : Clock
        For pauses between attempts.
    access : Access
    timing : Timing
    prepare : callable
        Called after each connection, before anyone else may use it.
    renew : callable or None
        Returns a new module after the old one hung; the official package cannot be had
        twice in one process, so there the hang is final.
    rng : random.Random or None
        Lengthens each pause before a new connection by a part of it, so that bots which lost
        one terminal together do not come back together; None lengthens none.
    """

    def __init__(
        self,
        module: TerminalModule,
        clock: Clock,
        access: Access,
        timing: Timing,
        prepare: Callable[[], None],
        renew: Callable[[], TerminalModule] | None = None,
        rng: Random | None = None,
    ) -> None:
        self._rng = rng
        self._clock, self._access, self._timing = clock, access, timing
        self._prepare, self._renew = prepare, renew
        self._worker = caller_of(module, timing.call)
        self._lock = threading.RLock()
        self._ready = False
        self._preparing: int | None = None
        self._was_connected = False
        self._pause = timing.reconnect_first
        self._next_try = float("-inf")
        self._reason = "not connected yet"

    def ask(self, name: str, *args: Any, priority: int = READ, **kwargs: Any) -> Answer:
        """Call a function, connecting first if need be; a failure is the answer's to tell.

        Raises
        ------
        BrokerUnavailable
            There is no connection.
        LinkWedged
            The call hung.
        """
        self.ensure()
        # History may have to come from the server first, which takes longer than any other read.
        timeout = self._timing.history_call if name in _DOWNLOADING else None
        try:
            answer = self._worker.call(name, *args, priority=priority, timeout=timeout, **kwargs)
        except LinkWedged as error:
            self._replace_worker(error)
            raise BrokerUnavailable(str(error)) from error
        return self._noted(answer)

    def read(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a function that reads and return its value; see `ask`.

        None together with success, which some builds answer for "nothing", is an empty tuple.
        Before a symbol's data are asked for again the symbol is put back into Market Watch: a
        person or a terminal started anew may have taken it out.

        Raises
        ------
        BrokerUnavailable
            It failed as often as it was tried: what it would say is unknown, not empty.
        """
        for attempt in range(self._timing.read_tries):
            if attempt:
                if name in _OF_SYMBOL:
                    self.ask("symbol_select", args[0], True)
                self._clock.sleep(self._timing.read_pause)
            answer = self.ask(name, *args, **kwargs)
            if not answer.failed:
                return () if answer.value is None else answer.value
            if answer.code in _LOST:
                break
        raise BrokerUnavailable(f"MetaTrader 5 does not answer {name}: {answer.text} ({answer.code})")

    def order_check(self, request: dict[str, Any]) -> Answer:
        """Check a request; see `ask`."""
        self.ensure()
        try:
            return self._noted(self._worker.order_check(request, priority=ENTRY))
        except LinkWedged as error:
            self._replace_worker(error)
            raise BrokerUnavailable(str(error)) from error

    def order_send(self, request: dict[str, Any], *, priority: int) -> Answer:
        """Send a request, once, over the connection as it is.

        Raises
        ------
        LinkWedged
            The call hung; the order may have been executed.
        """
        try:
            return self._noted(self._worker.order_send(request, priority=priority))
        except LinkWedged as error:
            self._lose(str(error))
            raise

    def ensure(self) -> None:
        """Connect unless connected; see `ask` for what it raises."""
        if self._ready or self._preparing == threading.get_ident():
            return
        with self._lock:
            if not self._ready:
                self._connect()

    def close(self) -> None:
        """Close the connection; the terminal runs on."""
        if self._was_connected and not self._worker.wedged:
            self._worker.call("shutdown")
        self._ready = False
        self._worker.stop()

    def _noted(self, answer: Answer) -> Answer:
        if answer.failed and answer.code in _LOST:
            self._lose(f"{answer.text} ({answer.code})")
        return answer

    def _lose(self, reason: str) -> None:
        if self._ready:
            _log.warning("the connection to MetaTrader 5 is lost: %s", reason)
        self._ready, self._reason = False, reason

    def _replace_worker(self, error: LinkWedged) -> None:
        """Go on with a new module, or end here."""
        self._lose(str(error))
        if self._renew is None:
            raise error
        self._worker = caller_of(self._renew(), self._timing.call)
        self._was_connected = False

    def _connect(self) -> None:
        if self._clock.now() < self._next_try:
            raise BrokerUnavailable(f"MetaTrader 5 is not connected: {self._reason}")
        if self._worker.wedged:
            self._replace_worker(LinkWedged(self._reason))
        try:
            self._attach()
            self._preparing = threading.get_ident()
            self._prepare()
        except BrokerUnavailable as error:
            self._postpone(str(error))
            raise
        except LinkWedged as error:
            self._replace_worker(error)
            raise BrokerUnavailable(str(error)) from error
        finally:
            self._preparing = None
        self._ready, self._pause = True, self._timing.reconnect_first
        self._next_try = float("-inf")

    def _attach(self) -> None:
        """Attach to the terminal as it stands; credentials only where it stands at another account.

        Terminals that are given credentials at every attach have been seen to time out forever.
        """
        limit = self._timing.connect_call
        if self._was_connected:
            self._worker.call("shutdown", timeout=limit)
        path = () if self._access.path is None else (self._access.path,)
        self._demand(self._worker.call("initialize", *path, timeout=limit))
        self._was_connected = True
        account = self._worker.call("account_info")
        at_home = account.value is not None and account.value.login == self._access.login
        if not at_home and self._access.password is not None:
            password = self._access.password.get_secret_value()
            self._demand(
                self._worker.call(
                    "login", self._access.login, password=password, server=self._access.server, timeout=limit
                )
            )

    def _demand(self, answer: Answer) -> None:
        if answer.value:
            return
        if answer.code == C.RES_E_AUTH_FAILED:
            self._pause = self._timing.refused_login
        login = self._access.login
        text = re.sub(rf"(?<!\d){login}(?!\d)", shown_login(login), str(answer.text))
        raise BrokerUnavailable(f"MetaTrader 5 cannot be reached: {text} ({answer.code})")

    def _postpone(self, reason: str) -> None:
        self._lose(reason)
        self._reason = reason
        spread = 0.0 if self._rng is None else self._timing.reconnect_spread * self._rng.random()
        self._next_try = self._clock.now() + self._pause * (1.0 + spread)
        self._pause = min(2.0 * self._pause, max(self._timing.reconnect_most, self._pause))
