"""One terminal called directly, its twin through the bridge: nobody can tell which is which."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from tests.helpers.bridge_module import bridged
from tests.helpers.mt5.terminal import START, UP, Stage, market, market_request, stage
from trading.brokers.simulated.faults import (
    Fault,
    ipc_timeout,
    pipe_cut_after,
    pipe_cut_before,
    requote,
    server_timeout,
)

Call = Callable[[Any], Any]
NOON = datetime(2024, 1, 3, 12, 0, tzinfo=UTC)
REQUEST = market_request()
POSITION: dict[str, Any] = {"action": 6, "symbol": "BTCUSD", "sl": 49_000.0, "tp": 51_000.0}

CALLS: dict[str, Call] = {
    "version": lambda m: m.version(),
    "terminal": lambda m: m.terminal_info(),
    "account": lambda m: m.account_info(),
    "totals": lambda m: (m.symbols_total(), m.positions_total(), m.orders_total()),
    "symbol": lambda m: m.symbol_info("BTCUSD"),
    "no symbol": lambda m: m.symbol_info("NOPE"),
    "symbol of another type": lambda m: m.symbol_info(5),
    "too many symbols": lambda m: m.symbol_info("BTCUSD", "X"),
    "symbols": lambda m: m.symbols_get(),
    "group": lambda m: m.symbols_get("*USD*"),
    "group by name": lambda m: m.symbols_get(group="*EUR*"),
    "tick": lambda m: m.symbol_info_tick("BTCUSD"),
    "select": lambda m: m.symbol_select("BTCUSD", True),
    "select nothing": lambda m: m.symbol_select("NOPE", True),
    "book": lambda m: (m.market_book_add("BTCUSD"), m.market_book_get("BTCUSD"), m.market_book_release("BTCUSD")),
    "bars": lambda m: m.copy_rates_from_pos("BTCUSD", m.TIMEFRAME_M15, 0, 4),
    "bars of nothing": lambda m: m.copy_rates_from_pos("NOPE", m.TIMEFRAME_M15, 0, 4),
    "bars by seconds": lambda m: m.copy_rates_range("BTCUSD", m.TIMEFRAME_M15, START, START + 1800),
    "bars by date": lambda m: m.copy_rates_from("BTCUSD", m.TIMEFRAME_M15, NOON, 2),
    "ticks": lambda m: m.copy_ticks_from("BTCUSD", START, 10, m.COPY_TICKS_ALL),
    "numpy count": lambda m: m.copy_rates_from_pos("BTCUSD", m.TIMEFRAME_M15, 0, np.int64(4)),
    "margin": lambda m: m.order_calc_margin(0, "BTCUSD", 0.1, 50_000.0),
    "profit": lambda m: m.order_calc_profit(0, "BTCUSD", 0.1, 50_000.0, 50_100.0),
    "check": lambda m: m.order_check(REQUEST),
    "send": lambda m: m.order_send(REQUEST),
    "send by keywords": lambda m: m.order_send(**REQUEST),
    "send next to an empty mapping": lambda m: m.order_send(REQUEST, **dict[str, Any]()),
    "send two": lambda m: m.order_send(REQUEST, REQUEST),
    "send nothing": lambda m: m.order_send(),
    "send a list": lambda m: m.order_send([1, 2]),
    "send None as volume": lambda m: m.order_send(REQUEST | {"volume": None}),
    "send a numpy volume": lambda m: m.order_send(REQUEST | {"volume": np.float64(0.1)}),
    "send a Decimal": lambda m: m.order_send(REQUEST | {"volume": Decimal("0.1")}),
    "send a text as volume": lambda m: m.order_send(REQUEST | {"volume": "0.1"}),
    "send a long comment": lambda m: m.order_send(REQUEST | {"comment": "c" * 32}),
    "send too much": lambda m: m.order_send(REQUEST | {"volume": 1e6}),
    "send infinity": lambda m: m.order_send(REQUEST | {"price": float("inf")}),
    "positions": lambda m: m.positions_get(),
    "positions of a symbol": lambda m: m.positions_get(symbol="BTCUSD"),
    "positions unnamed": lambda m: m.positions_get("BTCUSD"),
    "levels": lambda m: m.order_send(POSITION | {"position": m.positions_get()[0].ticket}),
    "levels again": lambda m: m.order_send(POSITION | {"position": m.positions_get()[0].ticket}),
    "orders": lambda m: m.orders_get(),
    "history": lambda m: (m.history_orders_get(0, 2**31), m.history_deals_get(0, 2**31)),
    "history of nothing": lambda m: m.history_deals_get(ticket=99),
    "history totals": lambda m: (m.history_orders_total(0, 2**31), m.history_deals_total(0, 2**31)),
    "keyword where none is taken": lambda m: m.symbol_info(symbol="BTCUSD"),
    "argument where none is taken": lambda m: m.account_info(1),
    "login": lambda m: m.login(1),
    "wrong login": lambda m: m.login(5),
    "shutdown": lambda m: m.shutdown(),
    "after shutdown": lambda m: (m.account_info(), m.symbol_select("BTCUSD", True), m.positions_get()),
    "again": lambda m: (m.initialize(), m.positions_get()),
    "elsewhere": lambda m: m.initialize("D:\\none.exe"),
}


def shape(value: Any) -> Any:
    """Return a value with every type in it, comparable."""
    if isinstance(value, np.ndarray):
        return ("array", value.dtype, value.tobytes())
    if isinstance(value, (tuple, list)):
        return (type(value), getattr(type(value), "__match_args__", None), [shape(item) for item in value])
    return (type(value), repr(value))


def outcome(call: Call, module: Any) -> Any:
    try:
        value = shape(call(module))
    except TypeError:
        value = "TypeError"
    return value, module.last_error()


@contextmanager
def twins() -> Iterator[tuple[Stage, Stage, Any]]:
    """Give a stage, an equal one, and the bridge to the latter."""
    near, far = (stage(market(rows=[UP] * 6)) for _ in range(2))
    with bridged(far.mt5, any_terminal=True) as bridge:
        yield near, far, bridge


def test_59_every_call_in_turn_gives_the_same_values_types_and_errors() -> None:
    with twins() as (near, far, bridge):
        different = {}
        for name, call in CALLS.items():
            here, there = outcome(call, near.mt5), outcome(call, bridge)
            if here != there:
                different[name] = (here, there)
            if name == "send":
                near.server.advance()
                far.server.advance()
        # An order with an infinite price reaches no server.
        assert near.server.number == far.server.number == 5
    assert different == {}


@pytest.mark.parametrize("name", ["version", "account_info", "positions_get", "positions_total", "initialize"])
def test_59_before_initialize_both_answer_alike(name: str) -> None:
    near, far = stage(attach=False), stage(attach=False)
    with bridged(far.mt5) as bridge:
        assert outcome(lambda m: getattr(m, name)(), near.mt5) == outcome(lambda m: getattr(m, name)(), bridge)


@pytest.mark.parametrize(
    "fault",
    [
        requote(),
        server_timeout(filled=True),
        server_timeout(filled=False),
        ipc_timeout(filled=True, seconds=0.0),
        pipe_cut_before(),
        pipe_cut_after(),
    ],
    ids=["requote", "timeout filled", "timeout unfilled", "ipc timeout", "cut before", "cut after"],
)
def test_59_an_order_that_goes_wrong_beside_the_terminal_looks_the_same_from_afar(fault: Fault) -> None:
    """And the bridge adds no second order: both sides end with the same positions."""
    with twins() as (near, far, bridge):
        near.faults.plan(fault)
        far.faults.plan(fault)
        assert outcome(CALLS["send"], near.mt5) == outcome(CALLS["send"], bridge)
        assert outcome(CALLS["again"], near.mt5) == outcome(CALLS["again"], bridge)
        assert far.faults.struck == [("order_send", fault)]
