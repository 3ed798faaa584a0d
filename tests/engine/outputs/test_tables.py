"""The CSV files of closed trades and blocked signals, cell by cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.gates import GATE_NAMES, gate_names
from engine.outputs.tables import (
    BLOCK_COLUMNS,
    TRADE_COLUMNS,
    block_row,
    money_text,
    trade_row,
    utc_text,
    volume_text,
    write_blocks,
    write_trades,
)
from engine.records import Candidate, Trade, new_record


def trade_with(**fields: Any) -> Trade:
    trade = new_record(Trade)
    usual = {
        "entry_time": 1_709_210_700,
        "exit_time": 1_709_251_200,
        "side": 1,
        "reason": 2,
        "volume": 0.05,
        "entry_price": 62_010.5,
        "exit_price": 62_110.0,
        "sl": 61_900.0,
        "tp": 62_110.0,
        "profit": 4.98,
        "commission": -0.3,
        "swap": -1.05,
        "balance": 503.63,
        "risk": 5.525,
    }
    for name, value in (usual | fields).items():
        setattr(trade, name, value)
    return trade


def cells(**fields: Any) -> dict[str, str]:
    return dict(zip(TRADE_COLUMNS, trade_row(trade_with(**fields), 2), strict=True))


def test_the_columns_of_the_trades_are_the_documented_ones() -> None:
    documented = (
        "entry_time,side,volume,entry_price,sl,tp,exit_time,exit_price,exit_reason,profit,commission,swap,balance"
    )
    assert ",".join(TRADE_COLUMNS) == documented


def test_the_columns_of_the_blocked_signals_are_the_documented_ones() -> None:
    assert ",".join(BLOCK_COLUMNS) == "time,symbol,side,confidence,gap,reason,failing_gates,price,atr,spread"


def test_a_trade_row() -> None:
    assert cells() == {
        "entry_time": "2024-02-29T12:45:00Z",
        "side": "buy",
        "volume": "0.05",
        "entry_price": "62010.50",
        "sl": "61900.00",
        "tp": "62110.00",
        "exit_time": "2024-03-01T00:00:00Z",
        "exit_price": "62110.00",
        "exit_reason": "tp",
        "profit": "4.98",
        "commission": "-0.30",
        "swap": "-1.05",
        "balance": "503.63",
    }


@pytest.mark.parametrize(
    ("reason", "name"), [(1, "sl"), (2, "tp"), (3, "so"), (4, "model"), (5, "halt"), (6, "manual")]
)
def test_exit_reasons(reason: int, name: str) -> None:
    assert cells(reason=reason)["exit_reason"] == name


def test_a_short_is_a_sell() -> None:
    assert cells(side=-1)["side"] == "sell"


def test_prices_have_the_digits_of_the_symbol() -> None:
    row = dict(zip(TRADE_COLUMNS, trade_row(trade_with(entry_price=1.23456, exit_price=1.2), 5), strict=True))
    assert (row["entry_price"], row["exit_price"]) == ("1.23456", "1.20000")


@pytest.mark.parametrize("value", [0.0, -0.0, -0.004, -1e-12, 0.004])
def test_nothing_is_never_negative(value: float) -> None:
    assert money_text(value) == "0.00"
    assert cells(profit=value, swap=value)["swap"] == "0.00"


@pytest.mark.parametrize(("value", "text"), [(-0.006, "-0.01"), (-12.5, "-12.50"), (1e6, "1000000.00"), (0.1, "0.10")])
def test_money(value: float, text: str) -> None:
    assert money_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.01, "0.01"), (0.1, "0.1"), (10.0, "10"), (100.0, "100"), (12_345.67, "12345.67"), (2_500_000.0, "2500000")],
)
def test_volumes(value: float, text: str) -> None:
    assert volume_text(value) == text


def test_times_are_utc_to_the_second() -> None:
    assert utc_text(0) == "1970-01-01T00:00:00Z"
    assert utc_text(1_711_846_799) == "2024-03-31T00:59:59Z"


def blocked_with(gates: int, **fields: Any) -> dict[str, str]:
    candidate = new_record(Candidate)
    candidate.side, candidate.confidence, candidate.gap, candidate.atr = -1, 2 / 3, 0.1, 87.654
    for name, value in fields.items():
        setattr(candidate, name, value)
    row = block_row(1_709_211_600, "BTCUSD", candidate, gate_names(gates), 62_000.456, 16.949, 2)
    return dict(zip(BLOCK_COLUMNS, row, strict=True))


def test_a_blocked_row() -> None:
    assert blocked_with(1 << 4) == {
        "time": "2024-02-29T13:00:00Z",
        "symbol": "BTCUSD",
        "side": "sell",
        "confidence": "0.666667",
        "gap": "0.100000",
        "reason": "atr_floor",
        "failing_gates": "atr_floor",
        "price": "62000.46",
        "atr": "87.65",
        "spread": "16.95",
    }


def test_the_first_failing_gate_is_the_reason_and_all_are_named() -> None:
    row = blocked_with(1 << 13 | 1 << 2 | 1 << 17)
    assert row["reason"] == "session_conf"
    assert row["failing_gates"] == "session_conf hard_halt margin"


@pytest.mark.parametrize("bit", range(len(GATE_NAMES)))
def test_every_gate_has_its_name(bit: int) -> None:
    assert blocked_with(1 << bit)["reason"] == GATE_NAMES[bit]


def test_files_end_lines_the_same_way_everywhere(tmp_path: Path) -> None:
    file = tmp_path / "trades.csv"
    write_trades(file, [trade_row(trade_with(), 2)])
    content = file.read_bytes()
    assert b"\r" not in content
    assert content.count(b"\n") == 2
    assert content.endswith(b"503.63\n")


def test_without_trades_there_is_still_a_header(tmp_path: Path) -> None:
    write_trades(tmp_path / "trades.csv", [])
    write_blocks(tmp_path / "blocked.csv", [])
    assert (tmp_path / "trades.csv").read_text() == ",".join(TRADE_COLUMNS) + "\n"
    assert (tmp_path / "blocked.csv").read_text() == ",".join(BLOCK_COLUMNS) + "\n"


def test_a_finished_file_replaces_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "trades.csv"
    write_trades(file, [trade_row(trade_with(), 2)] * 3)
    write_trades(file, [])
    assert file.read_text().count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["trades.csv"]
