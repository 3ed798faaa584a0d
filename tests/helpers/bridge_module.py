"""A terminal's module for the bridge's tests, a running server around it, and raw requests to it."""

from __future__ import annotations

import http.client
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from novosky.clock import RealClock
from trading.brokers.bridge.client import BridgeModule
from trading.brokers.bridge.protocol import CALL_PATH, Call, dump, load_answer, load_hello
from trading.brokers.bridge.server import BridgeServer
from trading.brokers.mt5_package.constants import ModuleConstants
from trading.brokers.mt5_package.sequences import filled
from trading.brokers.mt5_package.structs import OrderSendResult, Tick, TradeRequest

TOKEN = "correct-horse-battery-staple-0123456789"
_COLUMNS = "time:<i8 open:<f8 high:<f8 low:<f8 close:<f8 tick_volume:<u8 spread:<i4 real_volume:<u8"
RATES = np.dtype([(name, kind) for name, kind in (column.split(":") for column in _COLUMNS.split())])


class SmallModule(ModuleConstants):
    """A handful of the package's functions, each doing what a test of the link needs to see."""

    __version__ = "5.0.6231"

    def __init__(self) -> None:
        self.error = (1, "Success")
        self.inside = 0
        self.sent: list[Any] = []
        self.paths: list[Any] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.stopped = False
        self.returned: Any = None
        self.threads: set[int] = set()

    def last_error(self) -> tuple[int, str]:
        return self.error

    def initialize(self, *args: Any, **kwargs: Any) -> bool:
        self.paths.append((args, kwargs))
        self.error = (1, "Success")
        return True

    def shutdown(self) -> None:
        self.stopped = True

    def version(self) -> tuple[int, int, str]:
        return (500, 5200, "26 Sep 2026")

    def symbol_info_tick(self, symbol: str, /) -> Tick | None:
        """Overlapping calls would mix up the errors, so each takes its time."""
        self.threads.add(threading.get_ident())
        assert self.inside == 0, "two calls at a time"
        self.inside = 1
        time.sleep(0.001)
        self.inside = 0
        if symbol.startswith("NOPE"):
            self.error = (-4, f"no {symbol}")
            return None
        self.error = (1, "Success")
        return filled(Tick, time=1_700_000_000, bid=1.1, ask=1.2, time_msc=1_700_000_000_123, flags=134)

    def symbol_select(self, symbol: str, enable: bool = True, /) -> bool:
        self.error = (-1, "Terminal: Call failed")
        return False

    def copy_rates_from_pos(self, symbol: str, timeframe: int, start: int, count: int, /) -> Any:
        rates = np.zeros(count, RATES)
        rates["time"] = np.arange(count) * 900
        rates["close"] = np.linspace(1.0, 2.0, count)
        return rates

    def account_info(self) -> Any:
        """Return whatever a test put there."""
        return self.returned

    def order_calc_margin(self, *args: Any) -> Any:
        """Return the types of its arguments, to see how they arrived."""
        return tuple(type(value).__name__ for value in args)

    def positions_get(self, **kwargs: Any) -> Any:
        self.entered.set()
        self.gate.wait(10)
        return ()

    def terminal_info(self) -> Any:
        raise ZeroDivisionError("in the module")

    def order_send(self, request: Any = None, **fields: Any) -> OrderSendResult:
        self.sent.append(request or fields)
        self.entered.set()
        self.gate.wait(10)
        echo = filled(TradeRequest, **(request or fields))
        return filled(OrderSendResult, retcode=10009, deal=7, order=8, comment="Request executed", request=echo)

    def Buy(self, *args: Any) -> bool:
        self.sent.append(args)
        return True


@contextmanager
def serving(module: Any, **options: Any) -> Iterator[BridgeServer]:
    """Serve a module on a free port of this machine until the block ends."""
    stop = threading.Event()
    server = BridgeServer(module, TOKEN, RealClock(), **options)
    thread = threading.Thread(target=server.serve, args=(stop,))
    thread.start()
    try:
        yield server
    finally:
        if isinstance(module, SmallModule):
            module.gate.set()
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


@contextmanager
def bridged(module: Any, **options: Any) -> Iterator[BridgeModule]:
    """Give a client of a server around a module."""
    with serving(module, **options) as server, BridgeModule(server.url, TOKEN) as client:
        yield client


class Caller:
    """Speaks to a server without our client, to say what our client never would."""

    def __init__(self, server: BridgeServer) -> None:
        self.port = server.server_address[1]
        hello = load_hello(server.hello())
        self.template = Call(hello.server, secrets.token_hex(16), 1, hello.stamp, 5.0, "version", [], None)

    def call(self, **changes: Any) -> bytes:
        """Return a proper call with some fields changed."""
        return dump(replace(self.template, **changes))

    def post(self, body: bytes, token: str | None = TOKEN, path: str = CALL_PATH, **headers: str) -> tuple[int, Any]:
        """Send a request; return status and answer."""
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            data = response.read()
            return response.status, vars(load_answer(data)[0]) if response.status == 200 else json.loads(data)
        finally:
            connection.close()
