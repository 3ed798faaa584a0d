"""Through the bridge a program meets the package: its call forms, values, failures and last errors."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from novosky.errors import UsageError
from tests.helpers.bridge_module import RATES, SmallModule, bridged, serving
from trading.brokers.bridge.client import BridgeModule
from trading.brokers.bridge.functions import FUNCTIONS
from trading.brokers.mt5_package.constants import CONSTANTS
from trading.brokers.mt5_package.errors import UNNAMED_ARGUMENTS
from trading.brokers.mt5_package.sequences import filled
from trading.brokers.mt5_package.structs import STRUCTS, AccountInfo, OrderSendResult, Tick, TradeRequest
from trading.brokers.simulated.functions.calls import read_request

NO_ARGUMENTS = [
    *("shutdown", "version", "terminal_info", "account_info", "positions_total", "orders_total", "symbols_total"),
    "last_error",
]
POSITIONAL = [
    *("copy_rates_from", "copy_rates_from_pos", "copy_rates_range", "copy_ticks_from", "copy_ticks_range"),
    *("order_calc_margin", "order_calc_profit", "symbol_info", "symbol_info_tick", "symbol_select"),
    *("market_book_add", "market_book_get", "market_book_release", "history_orders_total", "history_deals_total"),
]
KEYWORDS = [
    *("initialize", "login", "positions_get", "orders_get", "history_orders_get", "history_deals_get"),
    *("order_check", "order_send", "symbols_get"),
]
REQUEST = {"action": 1, "symbol": "BTCUSD", "volume": 0.1, "type": 0, "price": 1.2, "magic": 7, "comment": "a1"}


class Unwilling(BridgeModule):
    """A client without a line: call forms are its own business."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:9", "t" * 32)


def test_it_has_the_packages_32_functions_and_refuses_its_helpers() -> None:
    assert set(NO_ARGUMENTS + POSITIONAL + KEYWORDS) == FUNCTIONS
    assert len(FUNCTIONS) == 32
    for name in FUNCTIONS:
        assert callable(getattr(BridgeModule, name))
    for name in ("Buy", "Sell", "Close"):
        with pytest.raises(NotImplementedError, match="order_send"):
            getattr(Unwilling(), name)("BTCUSD", 0.1)


def test_it_has_every_constant_and_every_type() -> None:
    assert {name: getattr(BridgeModule, name) for name in CONSTANTS} == dict(CONSTANTS)
    assert all(getattr(BridgeModule, kind.__name__) is kind for kind in STRUCTS)


@pytest.mark.parametrize("name", NO_ARGUMENTS)
def test_functions_without_arguments_take_none(name: str) -> None:
    with pytest.raises(TypeError):
        getattr(Unwilling(), name)("BTCUSD")
    with pytest.raises(TypeError):
        getattr(Unwilling(), name)(symbol="BTCUSD")


@pytest.mark.parametrize("name", POSITIONAL)
def test_positional_functions_take_no_keywords(name: str) -> None:
    with pytest.raises(TypeError):
        getattr(Unwilling(), name)(symbol="BTCUSD")


def test_values_arrive_with_their_types() -> None:
    module = SmallModule()
    module.returned = filled(AccountInfo, login=5, trade_allowed=True, balance=1e4)
    with bridged(module) as mt5:
        account, tick = mt5.account_info(), mt5.symbol_info_tick("BTCUSD")

    assert type(account) is AccountInfo
    assert [type(value) for value in account] == [type(value) for value in module.returned]
    assert type(tick) is Tick
    assert tick.flags == 134
    assert mt5.__version__ == "5.0.6231"


def test_bars_arrive_as_the_packages_arrays() -> None:
    with bridged(SmallModule()) as mt5:
        rates = mt5.copy_rates_from_pos("BTCUSD", mt5.TIMEFRAME_M15, 0, 2016)

    assert rates.dtype == RATES
    assert len(rates) == 2016
    assert rates["time"][-1] == 2015 * 900


@pytest.mark.parametrize("form", ["dictionary", "keywords"])
def test_a_request_may_be_a_dictionary_or_keywords(form: str) -> None:
    module = SmallModule()
    with bridged(module) as mt5:
        result = mt5.order_send(REQUEST) if form == "dictionary" else mt5.order_send(**REQUEST)

    assert module.sent == [REQUEST]
    assert type(result) is OrderSendResult
    assert type(result.request) is TradeRequest
    assert (result.retcode, result.request.comment) == (10009, "a1")


def test_an_empty_mapping_of_keywords_reaches_the_package_because_it_refuses_one() -> None:
    class Reading(SmallModule):
        def order_send(self, *args: Any, **kwargs: Any) -> Any:
            self.sent.append(read_request(args, kwargs, sys._getframe(1)))

    module = Reading()
    nothing: dict[str, Any] = {}
    with bridged(module) as mt5:
        mt5.order_send(REQUEST)
        mt5.order_send(REQUEST, **nothing)

    assert module.sent[0].symbol == "BTCUSD"
    assert module.sent[1] == UNNAMED_ARGUMENTS


def test_numpy_numbers_reach_the_package_as_such() -> None:
    with bridged(SmallModule()) as mt5:
        seen = mt5.order_calc_margin(np.int64(0), "BTCUSD", np.float64(0.1), None)

    assert seen == ("int64", "str", "float64", "NoneType")


def test_failure_is_a_value_and_the_last_error_says_why_until_the_next_call() -> None:
    with bridged(SmallModule()) as mt5:
        assert mt5.last_error() == (1, "Success")
        assert mt5.symbol_info_tick("NOPE") is None
        assert mt5.last_error() == (-4, "no NOPE")
        assert mt5.last_error() == (-4, "no NOPE")
        assert mt5.symbol_select("NOPE", True) is False
        assert mt5.last_error() == (-1, "Terminal: Call failed")
        assert mt5.symbol_info_tick("BTCUSD") is not None
        assert mt5.last_error() == (1, "Success")


def test_a_type_error_of_the_package_is_raised_here() -> None:
    with bridged(SmallModule()) as mt5, pytest.raises(TypeError, match="positional"):
        mt5.symbol_info_tick("BTCUSD", 1)


def test_any_other_exception_of_the_package_is_a_runtime_error_here() -> None:
    with bridged(SmallModule()) as mt5, pytest.raises(RuntimeError, match="in the module"):
        mt5.terminal_info()


def test_an_argument_that_cannot_be_carried_is_invalid_and_never_sent() -> None:
    module = SmallModule()
    with bridged(module) as mt5:
        assert mt5.order_send(REQUEST | {"magic": 1 << 5000}) is None
        assert mt5.last_error() == (-2, "Invalid arguments")
        assert mt5.order_send(REQUEST | {"comment": "x" * 100_000}) is None
        assert mt5.last_error() == (-2, "Invalid arguments")

    assert module.sent == []


def test_56_20_threads_on_20_clients_are_served_one_at_a_time_each_with_its_own_error() -> None:
    module = SmallModule()
    with serving(module) as server:

        def ask(number: int) -> set[bool]:
            with BridgeModule(server.url, "correct-horse-battery-staple-0123456789") as mt5:
                wrong = set()
                for turn in range(8):
                    tick = mt5.symbol_info_tick(f"NOPE{number}.{turn}" if turn % 2 else "BTCUSD")
                    expected = (-4, f"no NOPE{number}.{turn}") if turn % 2 else (1, "Success")
                    wrong.add(mt5.last_error() != expected or (tick is None) != bool(turn % 2))
                return wrong

        with ThreadPoolExecutor(20) as pool:
            found = set().union(*pool.map(ask, range(20)))

    assert found == {False}
    assert len(module.threads) == 1


def test_56_20_threads_on_one_client_each_read_the_error_of_their_own_call() -> None:
    with bridged(SmallModule()) as mt5:

        def ask(number: int) -> bool:
            return mt5.symbol_info_tick(f"NOPE{number}") is None and mt5.last_error() == (-4, f"no NOPE{number}")

        with ThreadPoolExecutor(20) as pool:
            assert all(pool.map(ask, range(100)))


def test_a_thread_that_made_no_call_reads_the_latest_error() -> None:
    with bridged(SmallModule()) as mt5:
        mt5.symbol_info_tick("NOPE")
        seen: list[Any] = []
        thread = threading.Thread(target=lambda: seen.append(mt5.last_error()))
        thread.start()
        thread.join()

    assert seen == [(-4, "no NOPE")]


@pytest.mark.parametrize(
    "url",
    ["ftp://127.0.0.1", "http://", "127.0.0.1:8787", "http://user@127.0.0.1", "http://10.0.0.5:8787", "http://desk"],
)
def test_a_token_is_not_sent_to_an_unfit_address(url: str) -> None:
    with pytest.raises(UsageError):
        BridgeModule(url, "t" * 32)


@pytest.mark.parametrize("token", ["", "short", "with space " * 4, "ü" * 40, "x" * 40 + "\n"])
def test_an_unfit_token_is_refused_on_both_sides(token: str) -> None:
    with pytest.raises(UsageError, match="NOVOSKY_BRIDGE_TOKEN"):
        BridgeModule("http://127.0.0.1:8787", token)
