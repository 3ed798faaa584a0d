"""What every stand-in for the MetaTrader 5 module must do: connection, shapes and market data.

Numbers in the names are those of the fact sheet's contract tests. A subclass gives
`module`, which puts its implementation in front of a simulated terminal: the terminal
itself, or a client at the other end of a wire.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tests.helpers.mt5.terminal import START, Stage, market_request, stage
from trading.brokers.mt5_package import structs
from trading.brokers.mt5_package.constants import CONSTANTS
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.simulated.accounts import AccountTerms
from trading.brokers.simulated.faults import ipc_timeout
from trading.brokers.simulated.functions.terminal import SimulatedTerminal

Build = Callable[..., Stage]
RATES = "time:<i8 open:<f8 high:<f8 low:<f8 close:<f8 tick_volume:<u8 spread:<i4 real_volume:<u8"
TICKS = "time:<i8 bid:<f8 ask:<f8 last:<f8 volume:<u8 time_msc:<i8 flags:<u4 volume_real:<f8"
DISCONNECTED = (-10004, "No IPC connection")
CALLS: dict[str, tuple[Any, ...]] = {
    "version": (),
    "account_info": (),
    "terminal_info": (),
    "symbols_total": (),
    "symbols_get": (),
    "symbol_info": ("BTCUSD",),
    "symbol_info_tick": ("BTCUSD",),
    "market_book_get": ("BTCUSD",),
    "copy_rates_from": ("BTCUSD", 15, START, 1),
    "copy_rates_from_pos": ("BTCUSD", 15, 0, 1),
    "copy_rates_range": ("BTCUSD", 15, START, START),
    "copy_ticks_from": ("BTCUSD", START, 1, -1),
    "copy_ticks_range": ("BTCUSD", START, START, -1),
    "orders_total": (),
    "orders_get": (),
    "positions_total": (),
    "positions_get": (),
    "order_calc_margin": (0, "BTCUSD", 0.1, 50_000.0),
    "order_calc_profit": (0, "BTCUSD", 0.1, 50_000.0, 50_001.0),
    "order_check": (market_request(),),
    "order_send": (market_request(),),
    "history_orders_total": (0, 1),
    "history_orders_get": (0, 1),
    "history_deals_total": (0, 1),
    "history_deals_get": (0, 1),
}
TRUTHS: dict[str, tuple[Any, ...]] = {
    "symbol_select": ("BTCUSD", True),
    "market_book_add": ("BTCUSD",),
    "market_book_release": ("BTCUSD",),
    "login": (1,),
}
POSITIONAL: dict[str, dict[str, Any]] = {
    "symbol_info": {"symbol": "BTCUSD"},
    "symbol_info_tick": {"symbol": "BTCUSD"},
    "symbol_select": {"symbol": "BTCUSD"},
    "copy_rates_from": {"symbol": "BTCUSD", "timeframe": 15, "date_from": START, "count": 1},
    "copy_rates_from_pos": {"symbol": "BTCUSD", "timeframe": 15, "start_pos": 0, "count": 1},
    "copy_rates_range": {"symbol": "BTCUSD", "timeframe": 15, "date_from": START, "date_to": START},
    "copy_ticks_from": {"symbol": "BTCUSD", "date_from": START, "count": 1, "flags": -1},
    "copy_ticks_range": {"symbol": "BTCUSD", "date_from": START, "date_to": START, "flags": -1},
    "order_calc_margin": {"action": 0, "symbol": "BTCUSD", "volume": 0.1, "price": 1.0},
    "order_calc_profit": {"action": 0, "symbol": "BTCUSD", "volume": 0.1, "price_open": 1.0, "price_close": 1.0},
    "market_book_add": {"symbol": "BTCUSD"},
    "market_book_get": {"symbol": "BTCUSD"},
    "market_book_release": {"symbol": "BTCUSD"},
    "history_orders_total": {"date_from": 0, "date_to": 1},
    "history_deals_total": {"date_from": 0, "date_to": 1},
}
WITHOUT = [
    "shutdown",
    "version",
    "terminal_info",
    "account_info",
    "positions_total",
    "orders_total",
    "symbols_total",
    "last_error",
]


def layout(dtype: np.dtype[Any]) -> str:
    """Return names and types of a dtype in one line."""
    assert dtype.names is not None
    return " ".join(f"{name}:{dtype[name].str}" for name in dtype.names)


class ContractBase:
    """How a contract gets its stages."""

    def module(self, terminal: SimulatedTerminal) -> Any:
        """Return the implementation under test in front of a terminal."""
        raise NotImplementedError

    def release(self, module: Any) -> None:
        """Stop what `module` started; called for each when its test is over."""

    @pytest.fixture
    def build(self) -> Iterator[Build]:
        """Make stages whose `mt5` is the implementation under test."""
        modules: list[Any] = []

        def make(*feeds: Any, **options: Any) -> Stage:
            made = stage(*feeds, **options)
            made.mt5 = self.module(made.mt5)
            modules.append(made.mt5)
            return made

        yield make
        for module in modules:
            self.release(module)


class ConnectionContract(ContractBase):
    """Connection and errors."""

    @pytest.mark.parametrize("name", CALLS)
    def test_1_before_initialize_every_query_answers_none(self, build: Build, name: str) -> None:
        mt5 = build(attach=False).mt5
        assert getattr(mt5, name)(*CALLS[name]) is None
        assert mt5.last_error() == DISCONNECTED

    @pytest.mark.parametrize("name", TRUTHS)
    def test_1_before_initialize_every_switch_answers_false(self, build: Build, name: str) -> None:
        mt5 = build(attach=False).mt5
        assert getattr(mt5, name)(*TRUTHS[name]) is False
        assert mt5.last_error() == DISCONNECTED

    def test_2_initialize_connects_and_may_be_repeated(self, build: Build) -> None:
        mt5 = build(attach=False).mt5
        for _ in range(2):
            assert mt5.initialize() is True
            assert mt5.last_error() == (1, "Success")
        assert mt5.version()[0] == 500

    def test_3_a_wrong_path_finds_no_terminal(self, build: Build) -> None:
        mt5 = build(attach=False).mt5
        assert mt5.initialize("C:\\nowhere\\terminal64.exe") is False
        assert mt5.last_error() == (-10003, "IPC initialize failed, MetaTrader 5 x64 not found")

    @pytest.mark.parametrize("wrong", [{"password": "no"}, {"login": 7}, {"server": "Other-Live"}])
    def test_3_wrong_credentials_all_fail_alike(self, build: Build, wrong: dict[str, Any]) -> None:
        mt5 = build(attach=False, terms=AccountTerms(password="yes")).mt5
        assert (
            mt5.initialize(**{"login": 1, "password": "yes", "server": "Simulated-Demo", "timeout": 100} | wrong)
            is False
        )
        assert mt5.last_error() == (-6, "Terminal: Authorization failed")
        assert mt5.initialize(login=1, password="yes", server="Simulated-Demo") is True
        assert mt5.login(1, **wrong) is False if "login" not in wrong else mt5.login(7) is False

    def test_3_a_hanging_terminal_times_out(self, build: Build) -> None:
        made = build(attach=False)
        before = made.server.now_msc
        made.faults.plan(ipc_timeout(seconds=5.0).on("initialize"))
        assert made.mt5.initialize(timeout=5_000) is False
        assert made.mt5.last_error() == (-10005, "IPC timeout")
        assert made.server.now_msc == before + 5_000

    def test_4_a_new_connection_finds_the_positions_unchanged(self, build: Build) -> None:
        made = build()
        made.deal(sl=49_000.0, tp=51_000.0)
        before = made.positions
        assert made.mt5.shutdown() is None
        assert made.mt5.positions_get() is None
        assert made.mt5.last_error() == DISCONNECTED
        assert made.mt5.initialize()
        assert made.positions == before

    def test_5_last_error_lasts_until_the_next_call(self, build: Build) -> None:
        mt5 = build().mt5
        assert mt5.symbol_info("NOPE") is None
        for _ in range(2):
            code, text = mt5.last_error()
            assert (type(code), type(text)) == (int, str) and code == -4
        mt5.version()
        assert mt5.last_error() == (1, "Success")

    @pytest.mark.parametrize("name", POSITIONAL)
    def test_6_keywords_are_an_error_to_positional_functions(self, build: Build, name: str) -> None:
        with pytest.raises(TypeError):
            getattr(build().mt5, name)(**POSITIONAL[name])

    @pytest.mark.parametrize("name", WITHOUT)
    def test_6_arguments_are_an_error_to_functions_without(self, build: Build, name: str) -> None:
        with pytest.raises(TypeError):
            getattr(build().mt5, name)(1)

    @pytest.mark.parametrize("name", ["positions_get", "orders_get"])
    def test_7_filters_are_named(self, build: Build, name: str) -> None:
        mt5 = build().mt5
        assert getattr(mt5, name)("BTCUSD") is None
        assert mt5.last_error() == (-2, "Unnamed arguments not allowed")
        assert getattr(mt5, name)(symbol="BTCUSD") == ()
        assert getattr(mt5, name)(symbol=5) is None
        assert mt5.last_error() == (-2, 'Invalid "symbol" argument')

    def test_8_an_order_is_one_dictionary_or_keywords(self, build: Build) -> None:
        made = build()
        assert made.mt5.order_send(market_request(), **{}) is None  # noqa: PIE804 (the very point)
        assert made.mt5.last_error() == (-2, "Unnamed arguments not allowed")
        assert made.mt5.order_check(market_request(), **{}) is None  # noqa: PIE804
        assert made.positions == ()
        assert made.mt5.order_send(market_request()).retcode == 10009
        assert made.mt5.order_send(**market_request()).retcode == 10009
        assert [position.volume for position in made.positions] == [0.1, 0.1]

    def test_9_a_wrong_type_sends_nothing(self, build: Build) -> None:
        made = build()
        for value in (None, np.float64(0.1), "0.1"):
            assert made.mt5.order_send(market_request(volume=value)) is None
            assert made.mt5.last_error() == (-2, 'Invalid "volume" argument')
        assert made.positions == ()

    def test_10_a_long_comment_sends_nothing(self, build: Build) -> None:
        made = build()
        assert made.mt5.order_send(market_request(comment="x" * 32)) is None
        assert made.mt5.last_error() == (-2, 'Invalid "comment" argument')
        assert made.deal(comment="y" * 25).retcode == 10009
        assert made.position.comment == "y" * 25

    def test_unknown_symbols_fail_each_function_its_own_way(self, build: Build) -> None:
        mt5 = build().mt5
        assert mt5.symbol_info_tick("NOPE") is None and mt5.last_error()[0] == -4
        assert mt5.symbol_select("NOPE", True) is False and mt5.last_error() == (-1, "Terminal: Call failed")
        assert mt5.copy_rates_from_pos("NOPE", 15, 0, 1) is None and mt5.last_error()[0] == -1

    @pytest.mark.parametrize("name", ["Buy", "Sell", "Close"])
    def test_the_helpers_that_ignore_stops_are_not_there(self, build: Build, name: str) -> None:
        with pytest.raises(NotImplementedError):
            getattr(build().mt5, name)("BTCUSD", 0.1)


class ShapesContract(ContractBase):
    """Result types as they come out of the functions."""

    def test_13_the_dtypes_are_the_package_s(self, build: Build) -> None:
        mt5 = build().mt5
        assert layout(mt5.copy_rates_from_pos("BTCUSD", C.TIMEFRAME_M15, 0, 2).dtype) == RATES
        assert layout(mt5.copy_ticks_from("BTCUSD", START, 2, C.COPY_TICKS_ALL).dtype) == TICKS
        assert layout(mt5.copy_rates_range("BTCUSD", C.TIMEFRAME_M15, 0, 1).dtype) == RATES

    def test_11_results_have_the_package_s_fields_in_its_order(self, build: Build) -> None:
        made = build()
        result = made.deal()
        assert list(result._asdict()) == list(structs.OrderSendResult.__annotations__)
        assert type(result._asdict()["request"]) is type(result.request) is made.mt5.TradeRequest
        assert type(made.mt5.account_info()) is made.mt5.AccountInfo and made.mt5.AccountInfo.n_fields == 28

    def test_12_results_are_immutable_tuples_and_no_named_ones(self, build: Build) -> None:
        made = build()
        for value in (made.mt5.symbol_info_tick("BTCUSD"), made.mt5.account_info(), made.deal(), made.position):
            assert isinstance(value, tuple) and value[0] == getattr(value, type(value).__match_args__[0])
            assert type(value)(list(value)) == value
            assert not any(hasattr(value, name) for name in ("_fields", "_replace", "_make"))
            with pytest.raises(AttributeError):
                setattr(value, type(value).__match_args__[0], 1)

    def test_14_the_constants_are_attributes(self, build: Build) -> None:
        mt5 = build().mt5
        assert {name: getattr(mt5, name) for name in CONSTANTS} == dict(CONSTANTS)
        assert (mt5.TIMEFRAME_H1, mt5.ORDER_FILLING_RETURN, mt5.TRADE_RETCODE_DONE) == (0x4001, 2, 10009)

    def test_15_every_field_has_its_type(self, build: Build) -> None:
        made = build()
        result = made.deal(sl=49_000.0, tp=51_000.0)
        pending = {"action": 5, "symbol": "BTCUSD", "volume": 0.1, "type": 2, "price": 49_000.0, "type_filling": 2}
        made.send(**pending)
        mt5 = made.mt5
        mt5.market_book_add("BTCUSD")
        found: list[Any] = [
            mt5.account_info(),
            mt5.terminal_info(),
            mt5.symbol_info("BTCUSD"),
            mt5.symbol_info_tick("BTCUSD"),
            *mt5.positions_get(),
            *mt5.orders_get(),
            *mt5.history_deals_get(0, 2**31),
            *mt5.history_orders_get(0, 2**31),
            *mt5.market_book_get("BTCUSD"),
            mt5.order_check(market_request()),
            result,
            result.request,
        ]
        assert {type(value).__name__ for value in found} == {struct.__name__ for struct in structs.STRUCTS}
        for value in found:
            assert [(name, type(field).__name__) for name, field in value._asdict().items()] == annotations(value)


def annotations(value: Any) -> list[tuple[str, str]]:
    """Return the declared fields of a struct."""
    return list(getattr(structs, type(value).__name__).__annotations__.items())
