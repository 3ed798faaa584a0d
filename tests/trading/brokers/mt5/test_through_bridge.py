"""The adapter's own tests and the broker's contract once more, with the bridge between adapter and terminal.

Each terminal gets a server and a client of its own; the tests are the very functions of the
other modules, which cannot tell the difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import tests.helpers.mt5.stage as mt5_stage
import tests.trading.brokers.mt5.test_broker as test_mt5_broker
import tests.trading.brokers.mt5.test_clock as test_mt5_clock
import tests.trading.brokers.mt5.test_connection as test_mt5_connection
import tests.trading.brokers.mt5.test_doubts as test_mt5_doubts
import tests.trading.brokers.mt5.test_orders as test_mt5_orders
import tests.trading.brokers.mt5.test_selection as test_mt5_selection
import tests.trading.brokers.mt5.test_worker as test_mt5_worker
from tests.helpers.bridge_module import bridged
from trading.brokers.mt5.broker import Mt5Broker
from trading.brokers.simulated.functions.terminal import SimulatedTerminal

MODULES = (
    test_mt5_clock,
    test_mt5_connection,
    test_mt5_doubts,
    test_mt5_orders,
    test_mt5_selection,
    test_mt5_worker,
)
ELSEWHERE = {
    "test_47_a_process_killed_at_the_send_finds_out_at_its_next_start": "kills the bot, which no fault at the "
    "terminal's side of the line can; a killed server is in test_bridge_faults",
    "test_47_an_entry_that_was_stopped_out_meanwhile_is_still_found": "likewise",
    "test_a_live_bot_whose_symbol_is_hidden_again_and_again_trades_on_as_if_nothing_were": "a live bot is put behind "
    "the bridge in test_live_parity",
    "test_a_terminal_that_starts_anew_with_an_empty_market_watch_while_a_position_is_open_changes_no_trade": "likewise",
}
"""Tests that say nothing here, and why."""


@pytest.fixture(autouse=True)
def through_the_bridge(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give every broker that a test makes a bridge to its terminal."""
    clients: dict[int, Any] = {}
    with ExitStack() as opened:

        def made(terminal: SimulatedTerminal, *args: Any, **kwargs: Any) -> Mt5Broker:
            if id(terminal) not in clients:
                clients[id(terminal)] = opened.enter_context(bridged(terminal, any_terminal=True))
            return Mt5Broker(clients[id(terminal)], *args, **kwargs)

        for module in (mt5_stage, *MODULES):
            if hasattr(module, "Mt5Broker"):
                monkeypatch.setattr(module, "Mt5Broker", made)
        yield
        assert clients, "no broker was behind a bridge"


def _own_tests(module: Any) -> dict[str, Any]:
    """Return a module's tests, those that play on a stage; the others look at pure functions."""
    tests = {name: test for name, test in vars(module).items() if name.startswith("test_") and name not in ELSEWHERE}
    return {name: test for name, test in tests.items() if "stage" in test.__code__.co_names}


for _module in MODULES:
    globals().update(_own_tests(_module))


class TestMt5BrokerThroughTheBridge(test_mt5_broker.TestMt5Broker):
    """The broker's contract."""
