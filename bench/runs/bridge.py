"""The bridge's server in a process of its own, around a terminal that answers at once: `bench.bridge_bench`'s far end.

What a call takes is then the bridge's own time: two processes, HTTP over loopback, the encoding.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.context import ROOT, SEED
from novosky.clock import RealClock
from novosky.data.synthetic import synthetic_bars
from novosky.market.instrument import BOT_MAGIC, USUAL_SYMBOL
from novosky.settings import load_ml_settings, load_settings
from trading.brokers.bridge.admission import TOKEN_VARIABLE
from trading.brokers.bridge.functions import FUNCTIONS
from trading.brokers.bridge.server import BridgeServer
from trading.brokers.bridge.simulated import simulated_market
from trading.brokers.mt5_package.constants import ModuleConstants as C

Calls = dict[str, Callable[[Any], Any]]
FOREVER = (0, 2**31)
AGES = 40
"""Orders of the account's past, so that histories have a size."""


def calls_of(window: int) -> Calls:
    """Return one call of every function of the package, as the bot writes it where it does.

    Parameters
    ----------
    window : int
        Bars and ticks asked for.
    """
    m15, symbol = C.TIMEFRAME_M15, USUAL_SYMBOL
    return {
        "initialize": lambda mt5: mt5.initialize(),
        "version": lambda mt5: mt5.version(),
        "account_info": lambda mt5: mt5.account_info(),
        "terminal_info": lambda mt5: mt5.terminal_info(),
        "symbols_total": lambda mt5: mt5.symbols_total(),
        "symbols_get": lambda mt5: mt5.symbols_get(),
        "orders_total": lambda mt5: mt5.orders_total(),
        "orders_get": lambda mt5: mt5.orders_get(),
        "positions_total": lambda mt5: mt5.positions_total(),
        "login": lambda mt5: mt5.login(1),
        "symbol_info": lambda mt5: mt5.symbol_info(symbol),
        "symbol_info_tick": lambda mt5: mt5.symbol_info_tick(symbol),
        "symbol_select": lambda mt5: mt5.symbol_select(symbol, True),
        "market_book_add": lambda mt5: mt5.market_book_add(symbol),
        "market_book_get": lambda mt5: mt5.market_book_get(symbol),
        "market_book_release": lambda mt5: mt5.market_book_release(symbol),
        "copy_rates_from": lambda mt5: mt5.copy_rates_from(symbol, m15, FOREVER[1], window),
        "copy_rates_from_pos": lambda mt5: mt5.copy_rates_from_pos(symbol, m15, 1, window),
        "copy_rates_range": lambda mt5: mt5.copy_rates_range(symbol, m15, *FOREVER),
        "copy_ticks_from": lambda mt5: mt5.copy_ticks_from(symbol, 0, window, C.COPY_TICKS_ALL),
        "copy_ticks_range": lambda mt5: mt5.copy_ticks_range(symbol, *FOREVER, C.COPY_TICKS_ALL),
        "positions_get": lambda mt5: mt5.positions_get(symbol=symbol),
        "order_calc_margin": lambda mt5: mt5.order_calc_margin(0, symbol, 0.1, 50_000.0),
        "order_calc_profit": lambda mt5: mt5.order_calc_profit(0, symbol, 0.1, 50_000.0, 50_100.0),
        "order_check": lambda mt5: mt5.order_check(request()),
        "order_send": lambda mt5: mt5.order_send(request()),
        "history_orders_total": lambda mt5: mt5.history_orders_total(*FOREVER),
        "history_orders_get": lambda mt5: mt5.history_orders_get(*FOREVER),
        "history_deals_total": lambda mt5: mt5.history_deals_total(*FOREVER),
        "history_deals_get": lambda mt5: mt5.history_deals_get(*FOREVER),
        "shutdown": lambda mt5: mt5.shutdown(),
        "last_error": lambda mt5: mt5.last_error(),
    }


def request() -> dict[str, Any]:
    """Return a market order as the adapter writes it."""
    return {
        "action": C.TRADE_ACTION_DEAL,
        "symbol": USUAL_SYMBOL,
        "volume": 0.01,
        "type": C.ORDER_TYPE_BUY,
        "price": 50_000.0,
        "sl": 0.0,
        "tp": 0.0,
        "deviation": 1_000,
        "magic": BOT_MAGIC,
        "comment": "e6595a2c4",
        "type_time": C.ORDER_TIME_GTC,
        "type_filling": C.ORDER_FILLING_FOK,
    }


class Recorded:
    """Answers every function with what a terminal answered once, whatever the arguments."""

    def __init__(self, answers: dict[str, Any], version: str) -> None:
        self._answers, self.__version__ = answers, version

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in self._answers:
            raise AttributeError(name)
        answer = self._answers[name]
        return lambda *args, **kwargs: answer


def recorded(window: int) -> Recorded:
    """Return the answers of a simulated terminal that has `window` bars and ticks and some history."""
    settings = load_settings(ROOT / "config.json")
    frame = synthetic_bars("planted", window + AGES + 20, seed=SEED)
    terminal, market = simulated_market(
        frame, settings, load_ml_settings(ROOT / "ml_config.json"), pace=1.0, now=lambda: 0.0
    )
    terminal.initialize()
    terminal.symbol_select(USUAL_SYMBOL, True)
    for _ in range(AGES):
        market.server.advance()
        terminal.order_send(request())
    answers: dict[str, Any] = {}
    for name, call in calls_of(window).items():
        answer = call(terminal)
        if name.startswith("copy_ticks"):
            answer = np.resize(answer, window)
        answers[name] = answer
    missing = sorted(name for name, answer in answers.items() if answer is None or answer is False)
    if missing not in ([], ["shutdown"]) or answers.keys() != FUNCTIONS:
        raise RuntimeError(f"the terminal does not answer {missing or sorted(FUNCTIONS ^ answers.keys())}")
    return Recorded(answers, terminal.__version__)


def main(window: str) -> None:
    """Serve until told to stop; the first line printed is the address."""
    server = BridgeServer(recorded(int(window)), os.environ[TOKEN_VARIABLE], RealClock())
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    print(server.url, flush=True)
    server.serve(stop)


if __name__ == "__main__":
    main(*sys.argv[1:])
