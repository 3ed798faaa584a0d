"""The simulated terminal's constants, result types and argument rules, as the package has them."""

from __future__ import annotations

import functools
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trading.brokers.mt5_package import structs
from trading.brokers.mt5_package.constants import CONSTANTS
from trading.brokers.mt5_package.errors import Failure
from trading.brokers.mt5_package.structs import STRUCTS, Tick, TradePosition, TradeRequest
from trading.brokers.simulated.functions.calls import COMMENT_LIMIT, read_request

FIELD_COUNTS = {
    "AccountInfo": 28,
    "TerminalInfo": 22,
    "SymbolInfo": 96,
    "Tick": 8,
    "TradePosition": 19,
    "TradeOrder": 24,
    "TradeDeal": 18,
    "TradeRequest": 17,
    "OrderSendResult": 11,
    "OrderCheckResult": 9,
    "BookInfo": 4,
}
TICK = (1, 2.0, 3.0, 4.0, 5, 6, 7, 8.0)
DEAL = {"action": 1, "symbol": "BTCUSD", "volume": 0.1, "type": 0}


def test_11_every_struct_has_its_fields() -> None:
    assert {struct.__name__: struct.n_fields for struct in STRUCTS} == FIELD_COUNTS
    assert all(struct.n_sequence_fields == struct.n_fields and not struct.n_unnamed_fields for struct in STRUCTS)
    volumes = ("volume_min", "volume_max", "volume_step", "volume_limit")
    place = structs.SymbolInfo.__match_args__.index("volume_min")
    assert structs.SymbolInfo.__match_args__[place : place + 4] == volumes


def test_11_as_dictionary_a_nested_request_stays_a_struct() -> None:
    request = TradeRequest([0] * 17)
    result = structs.OrderSendResult([0] * 10 + [request])
    assert tuple(result._asdict()) == structs.OrderSendResult.__match_args__
    assert result._asdict()["request"] is request


def test_12_structs_are_immutable_tuples_made_from_one_iterable() -> None:
    tick = Tick(iter(TICK))
    assert isinstance(tick, tuple) and tick == TICK and tick[1] == tick.bid == 2.0
    with pytest.raises(AttributeError):
        tick.bid = 1.0
    with pytest.raises(AttributeError):
        tick.other = 1.0  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        Tick(*TICK)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        TradePosition(TICK)


@pytest.mark.parametrize("name", ["_fields", "_replace", "_make"])
def test_12_structs_are_no_named_tuples(name: str) -> None:
    assert not hasattr(Tick(TICK), name)


def test_12_a_struct_matches_by_position() -> None:
    match Tick(TICK):
        case Tick(time, bid):
            assert (time, bid) == (1, 2.0)


def test_14_there_are_223_constants() -> None:
    assert len(CONSTANTS) == 223
    assert CONSTANTS["TIMEFRAME_MN1"] == 0xC001
    assert CONSTANTS["ORDER_FILLING_RETURN"] == 2
    assert CONSTANTS["TRADE_RETCODE_FIFO_CLOSE"] == 10045


def test_14_the_constants_equal_the_wheel_where_it_is_installed() -> None:
    """Reads the source next to an installed package; on other systems than Windows there is none."""
    files = [Path(folder) / "MetaTrader5" / "__init__.py" for folder in sys.path]
    found = [file for file in files if file.exists()]
    if not found:
        pytest.skip("the MetaTrader5 package is not installed here")
    pattern = re.compile(r"^([A-Z_0-9]+)\s*=\s*([-0-9a-fA-Fx| ]+?)\s*(?:#.*)?$", re.MULTILINE)
    pairs = pattern.findall(found[0].read_text(encoding="utf-8"))
    values = {name: functools.reduce(int.__or__, (int(part, 0) for part in text.split("|"))) for name, text in pairs}
    assert values == CONSTANTS


def send(*args: Any, **kwargs: Any) -> TradeRequest | Failure:
    return read_request(args, kwargs, sys._getframe(1))


def test_8_one_dictionary_and_keywords_are_read_alike() -> None:
    assert send(DEAL) == send(**DEAL) == send(*(DEAL,))
    request = send(DEAL)
    assert isinstance(request, TradeRequest)
    assert (request.volume, request.sl, request.comment, request.position) == (0.1, 0.0, "", 0)


def test_8_an_empty_mapping_of_keywords_is_refused() -> None:
    refused = Failure(-2, "Unnamed arguments not allowed")

    def forwarded(function: Any, *args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    assert send(DEAL, **{}) == refused  # noqa: PIE804 (the very point)
    assert send(DEAL, volume=0.2) == refused
    assert forwarded(send, DEAL) == refused
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(send, DEAL).result() == refused


@pytest.mark.parametrize("value", [None, np.float64(0.1), Decimal("0.1"), "0.1"])
def test_9_only_built_in_numbers_are_a_volume(value: Any) -> None:
    assert send(DEAL | {"volume": value}) == Failure(-2, 'Invalid "volume" argument')


@pytest.mark.parametrize(
    ("field", "value"),
    [("magic", 1.0), ("magic", np.int64(1)), ("symbol", b"BTCUSD"), ("comment", 5), ("position", 2**63)],
)
def test_9_the_first_field_of_a_wrong_type_is_named(field: str, value: Any) -> None:
    assert send(DEAL | {field: value}) == Failure(-2, f'Invalid "{field}" argument')


@pytest.mark.parametrize("field", ["action", "symbol", "volume", "type"])
def test_9_a_deal_without_a_necessary_field_is_not_sent(field: str) -> None:
    fields = {name: value for name, value in DEAL.items() if name != field}
    assert send(fields) == Failure(-2, f'Invalid "{field}" argument')


def test_10_a_comment_of_25_is_taken_and_of_32_refused() -> None:
    assert isinstance(send(DEAL | {"comment": "x" * 25}), TradeRequest)
    assert send(DEAL | {"comment": "x" * 32}) == Failure(-2, 'Invalid "comment" argument')
    assert send(DEAL | {"comment": "é" * (COMMENT_LIMIT // 2 + 1)}) == Failure(-2, 'Invalid "comment" argument')
