"""What the bridge adds to a call: 5 ms at most, on a machine that has nothing else to do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from bridge_module import SmallModule, bridged

from trading.bridge.client import BridgeModule

BOUND = 0.005
"""Seconds of processor time for client, server and terminal together. On the clock a call takes
that long where the machine is idle; where it is not, the clock tells more about the others."""
REQUEST = {"action": 1, "symbol": "BTCUSD", "volume": 0.1, "type": 0, "price": 1.2, "magic": 7, "comment": "a1"}


class Instant(SmallModule):
    """A terminal that takes no time itself."""

    def symbol_info_tick(self, symbol: str, /) -> Any:
        return self.returned


def measure(call: Callable[[], Any], turns: int) -> tuple[float, float, float]:
    """Return processor seconds per call, then median and 99th percentile on the clock."""
    spans = []
    for _ in range(5):
        call()
    worked = time.process_time()
    for _ in range(turns):
        begin = time.perf_counter()
        assert call() is not None
        spans.append(time.perf_counter() - begin)
    worked = time.process_time() - worked
    return worked / turns, float(np.median(spans)), float(np.quantile(spans, 0.99))


def calls_of(mt5: BridgeModule) -> dict[str, Callable[[], Any]]:
    """Return three calls that a bot makes at every bar."""
    return {
        "symbol_info_tick": lambda: mt5.symbol_info_tick("BTCUSD"),
        "copy_rates_from_pos, 2016 bars": lambda: mt5.copy_rates_from_pos("BTCUSD", 15, 0, 2016),
        "order_send": lambda: mt5.order_send(REQUEST),
    }


def test_the_overhead_of_a_call_is_a_few_milliseconds() -> None:
    module = Instant()
    module.returned = SmallModule.symbol_info_tick(module, "BTCUSD")
    with bridged(module) as mt5:
        found = {name: measure(call, 60) for name, call in calls_of(mt5).items()}

    for name, (worked, median, slow) in found.items():
        print(f"{name}: {worked * 1000:.2f} ms of work; median {median * 1000:.2f} ms, p99 {slow * 1000:.2f} ms")
    assert all(worked < BOUND for worked, _, _ in found.values())
